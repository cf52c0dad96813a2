import {
  Dropout,
  init,
  Linear,
  linear,
  linearLowRank,
  noGrad,
  type Parameter,
  scope,
  skipInit,
  type Tensor,
} from "@wgrad/tensor";
import { ModuleDict } from "../adapter-dict.js";
import { LoraLayer, type LoraLayerOptions } from "./layer.js";

/**
 * A Linear layer with low-rank adapters beside it: y = x Wᵀ + b + Σ scaling · (dropout(x) Aᵀ) Bᵀ over the active adapters.
 * With DoRA each output of W + ΔW has a trained length of its own.
 * Sources: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rslora), Liu et al. 2024 (DoRA); `peft.tuners.lora.Linear`.
 * Letters: I inFeatures, O outFeatures, r rank.
 */
export class LoraLinear extends LoraLayer<Linear> {
  /** Weights [r, I] */
  lora_A = new ModuleDict<Linear>();
  /** Weights [O, r] */
  lora_B = new ModuleDict<Linear>();
  protected readonly lengthDims = 1;

  get inFeatures(): number {
    return this.base_layer.inFeatures;
  }

  get outFeatures(): number {
    return this.base_layer.outFeatures;
  }

  /** Adds an adapter with new weights. A layer that has one of this name must not be given another. */
  addAdapter(adapter: string, options: LoraLayerOptions): void {
    const { r, scaling, dropout = 0, initLoraWeights = true, useDora = false } = options;
    const { device } = this.weight;
    const [A, B] = skipInit(() => [
      new Linear(device, this.inFeatures, r, { bias: false }),
      new Linear(device, r, this.outFeatures, { bias: false }),
    ]) as [Linear, Linear];
    if (initLoraWeights === "gaussian") init.normal_(A.weight, 0, 1 / r);
    else A.resetParameters();
    if (initLoraWeights === false) B.resetParameters();
    else B.weight.zero_();
    this.lora_A.set(adapter, A);
    this.lora_B.set(adapter, B);
    this.lora_dropout.set(adapter, new Dropout(dropout));
    this.scaling = { ...this.scaling, [adapter]: scaling };
    if (useDora) this.addMagnitude(adapter);
    this.train(this.training);
  }

  override deleteAdapter(adapter: string): void {
    this.lora_A.remove(adapter);
    this.lora_B.remove(adapter);
    super.deleteAdapter(adapter);
  }

  factors(adapter: string): { A: Parameter; B: Parameter } {
    return { A: this.lora_A.get(adapter)!.weight, B: this.lora_B.get(adapter)!.weight };
  }

  adapterParameters(adapter: string): Map<string, Parameter> {
    const { A, B } = this.factors(adapter);
    const magnitude = this.lora_magnitude_vector.get(adapter)?.weight;
    return new Map([
      ["lora_A.weight", A],
      ["lora_B.weight", B],
      ...(magnitude ? ([["lora_magnitude_vector", magnitude]] as const) : []),
    ]);
  }

  /** x [*, I] → [*, O] */
  forward(x: Tensor): Tensor {
    return scope(() => {
      let y: Tensor | null = null;
      for (const adapter of this.acting) {
        if (this.lora_magnitude_vector.get(adapter)) {
          y = this.#withDora(adapter, x, y ?? this.base_layer.forward(x));
        } else if (y) {
          y = y.add(this.#lowRank(adapter, this.lora_dropout.get(adapter)!.forward(x)));
        } else {
          y = this.#withBase(adapter, x);
        }
      }
      return y ?? this.base_layer.forward(x);
    });
  }

  /** x Wᵀ + b with the adapter's part, in one kernel for both. */
  #withBase(adapter: string, x: Tensor): Tensor {
    const { weight, bias } = this.base_layer;
    const { A, B } = this.factors(adapter);
    const { p, training } = this.lora_dropout.get(adapter)!;
    return linearLowRank(x, weight, bias, A, B, { scaling: this.scaling[adapter]!, dropoutP: p, training });
  }

  /** scaling · (x Aᵀ) Bᵀ, scaled where it is narrow: r numbers a position instead of O. */
  #lowRank(adapter: string, x: Tensor): Tensor {
    const { A, B } = this.factors(adapter);
    const narrow = linear(x, A);
    const scaling = this.scaling[adapter]!;
    return linear(scaling === 1 ? narrow : narrow.mul(scaling), B);
  }

  /** factor · (x Wᵀ + ΔW's part) + b. The dropout acts on the part that DoRA adds, as in PEFT. */
  #withDora(adapter: string, x: Tensor, y: Tensor): Tensor {
    const { weight, bias } = this.base_layer;
    const dropout = this.lora_dropout.get(adapter)!;
    const factor = this.doraFactor(adapter).to(y.dtype);
    if (this.training && dropout.p > 0) {
      const kept = dropout.forward(x);
      const added = linear(kept, weight).mul(factor.sub(1)).add(this.#lowRank(adapter, kept).mul(factor));
      return y.add(added);
    }
    const shift = bias?.to(y.dtype);
    const scaled = (shift ? y.sub(shift) : y).add(this.#lowRank(adapter, x)).mul(factor);
    return shift ? scaled.add(shift) : scaled;
  }

  deltaWeight(adapter: string): Tensor {
    const { A, B } = this.factors(adapter);
    return noGrad(() => scope(() => B.matmul(A).mul(this.scaling[adapter]!)));
  }
}
