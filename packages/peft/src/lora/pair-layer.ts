import {
  Dropout,
  init,
  type Module,
  noGrad,
  type Parameter,
  scope,
  skipInit,
  type Tensor,
} from "@wgrad/tensor";
import { ModuleDict } from "../adapter-dict.js";
import { LoraLayer, type LoraLayerOptions } from "./layer.js";

/**
 * Layers whose adapters are two layers of the same kind, one behind the other: A to r numbers, B from there to the outputs.
 * Letters: I inputs of one output, O outputs, r rank.
 */
export abstract class LoraPairLayer<Base extends Module & { weight: Parameter }> extends LoraLayer<Base> {
  /** Weights [r, …], of I numbers in each row */
  lora_A = new ModuleDict<Base>();
  /** Weights [O, r], of a convolution [O, r, 1, 1] */
  lora_B = new ModuleDict<Base>();

  /** A and B of an adapter of rank `r`, not initialised. */
  protected abstract makePair(r: number): [Base, Base];

  /** Adds an adapter with new weights. A layer that has one of this name must not be given another. */
  addAdapter(adapter: string, options: LoraLayerOptions): void {
    const { r, scaling, dropout = 0, initLoraWeights = true, useDora = false } = options;
    const [A, B] = skipInit(() => this.makePair(r));
    // PyTorch's start of a Linear's and a convolution's weights.
    const asLayer = (weight: Parameter) => init.kaimingUniform_(weight, { a: Math.sqrt(5) });
    if (initLoraWeights === "gaussian") init.normal_(A.weight, 0, 1 / r);
    else asLayer(A.weight);
    if (initLoraWeights === false) asLayer(B.weight);
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

  deltaWeight(adapter: string): Tensor {
    const { A, B } = this.factors(adapter);
    const r = A.size(0);
    return noGrad(() =>
      scope(() =>
        B.reshape([-1, r])
          .matmul(A.reshape([r, -1]))
          .mul(this.scaling[adapter]!)
          .reshape(this.weight.shape),
      ),
    );
  }
}
