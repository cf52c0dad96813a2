import { autocast, type Dropout, Module, noGrad, norm, Parameter, scope, type Tensor } from "@wgrad/tensor";
import { ModuleDict } from "../adapter-dict.js";
import { AdapterLayer } from "../adapter-layer.js";
import type { LoraConfig } from "./config.js";

/** Settings of one layer's adapter. */
export interface LoraLayerOptions {
  /** Rank, from 1 on. */
  r: number;
  /** What the adapter's output is multiplied by. */
  scaling: number;
  /** Dropout of the adapter's input; an embedding has none. Default 0. */
  dropout?: number;
  /** See `LoraConfig.initLoraWeights`. Default true. */
  initLoraWeights?: LoraConfig["initLoraWeights"];
  /** See `LoraConfig.useDora`. Default false. */
  useDora?: boolean;
}

/** The magnitudes of DoRA: `lora_magnitude_vector.default.weight`. */
export class DoraMagnitude extends Module {
  /** One length an output: [O], of a convolution [1, O, 1, 1] */
  weight: Parameter;

  constructor(lengths: Tensor) {
    super();
    this.weight = new Parameter(lengths);
  }
}

/** What layers with a low-rank adapter have in common, whatever they do. As `peft.tuners.lora.LoraLayer`. */
export abstract class LoraLayer<
  Base extends Module & { weight: Parameter } = Module & { weight: Parameter },
> extends AdapterLayer<Base> {
  /** Dropout of each adapter's input. */
  lora_dropout = new ModuleDict<Dropout>();
  /** Magnitudes of the adapters with DoRA. */
  lora_magnitude_vector = new ModuleDict<DoraMagnitude>();
  /** Of each adapter, what its output is multiplied by. */
  scaling: Readonly<Record<string, number>> = {};
  /** Lengths that the rows of the weight had as adapters with DoRA were merged. */
  readonly #mergedLengths = new Map<string, Tensor>();

  /** Matrices of an adapter, the narrow one first. */
  abstract factors(adapter: string): { A: Parameter; B: Parameter };

  /** What an adapter adds to the weight before DoRA, in the weight's shape: scaling · B A. The caller owns it. */
  abstract deltaWeight(adapter: string): Tensor;

  /** Dimensions of the weight along which the length of one output's weights is taken. */
  protected abstract readonly lengthDims: number | readonly number[];

  get adapterNames(): readonly string[] {
    return Object.keys(this.scaling);
  }

  /** The base layer's. */
  get weight(): Parameter {
    return this.base_layer.weight;
  }

  /** Rank of an adapter. */
  rank(adapter: string): number {
    return this.factors(adapter).A.size(0);
  }

  deleteAdapter(adapter: string): void {
    if (!this.hasAdapter(adapter)) return;
    const { [adapter]: _, ...scaling } = this.scaling;
    this.scaling = scaling;
    this.lora_dropout.remove(adapter);
    this.lora_magnitude_vector.remove(adapter);
    this.#mergedLengths.get(adapter)?.dispose();
    this.#mergedLengths.delete(adapter);
  }

  /** The magnitudes of an adapter in a shape that the weight can be multiplied by; null without DoRA. */
  protected magnitude(adapter: string): Tensor | null {
    const weight = this.lora_magnitude_vector.get(adapter)?.weight;
    return weight ? this.alongWeight(weight) : null;
  }

  /** One number an output, in a shape that broadcasts over the weight. */
  protected alongWeight(numbers: Tensor): Tensor {
    return numbers.reshape([-1, ...Array.from({ length: this.weight.rank - 1 }, () => 1)]);
  }

  /** Lengths of the weights of each output with the adapter in them, in f32 and without gradient: ‖W + ΔW‖, DoRA's divisor. */
  protected lengths(delta: Tensor): Tensor {
    return noGrad(() => autocast(null, () => scope(() => norm(this.weight.add(delta), this.lengthDims))));
  }

  /** Gives an adapter with DoRA its magnitudes: at first the lengths that the weights have. */
  protected addMagnitude(adapter: string): void {
    const lengths = noGrad(() =>
      scope(() =>
        this.magnitudeShape(this.lengths(this.deltaWeight(adapter)))
          .clone()
          .keep(),
      ),
    );
    this.lora_magnitude_vector.set(adapter, new DoraMagnitude(lengths));
  }

  /** Lengths [O] in the shape of PEFT's file. */
  protected magnitudeShape(lengths: Tensor): Tensor {
    return lengths;
  }

  /**
   * DoRA's factor of each output, [O]: magnitude / ‖W + ΔW‖. The divisor counts as a constant in backward.
   * Source: Liu et al. 2024, section 4.3.
   */
  protected doraFactor(adapter: string): Tensor {
    const { weight } = this.lora_magnitude_vector.get(adapter)!;
    return weight.reshape([-1]).div(this.lengths(this.deltaWeight(adapter)));
  }

  protected mergeOne(adapter: string): void {
    const delta = this.deltaWeight(adapter);
    const magnitude = this.magnitude(adapter);
    const sum = this.weight.add(delta);
    if (!magnitude) {
      this.weight.copy_(sum);
      return;
    }
    // What is merged already is no part of the length that `forward` divided by.
    let plain: Tensor = this.weight;
    for (const other of [...this.mergedAdapters].reverse()) plain = this.#without(other, plain);
    const lengths = norm(plain.add(delta), this.lengthDims);
    this.#mergedLengths.set(adapter, lengths.keep());
    this.weight.copy_(sum.mul(magnitude.div(this.alongWeight(lengths))));
  }

  protected unmergeOne(adapter: string): void {
    this.weight.copy_(this.#without(adapter, this.weight));
    this.#mergedLengths.get(adapter)?.dispose();
    this.#mergedLengths.delete(adapter);
  }

  /** The weight as it was before an adapter was merged into it. */
  #without(adapter: string, weight: Tensor): Tensor {
    const magnitude = this.magnitude(adapter);
    const delta = this.deltaWeight(adapter);
    if (!magnitude) return weight.sub(delta);
    const factor = magnitude.div(this.alongWeight(this.#mergedLengths.get(adapter)!));
    return weight.div(factor).sub(delta);
  }

  override dispose(): void {
    for (const lengths of this.#mergedLengths.values()) lengths.dispose();
    this.#mergedLengths.clear();
    super.dispose();
  }
}
