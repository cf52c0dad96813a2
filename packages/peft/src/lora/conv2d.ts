import { Conv2d, Dropout, init, noGrad, type Parameter, scope, skipInit, type Tensor } from "@wgrad/tensor";
import { ModuleDict } from "../adapter-dict.js";
import { LoraLayer, type LoraLayerOptions } from "./layer.js";

/**
 * A convolution with low-rank adapters beside it: A is a convolution of the same kernel to r channels, B one of 1 × 1 back.
 * Source: `peft.tuners.lora.Conv2d`. Letters: C inChannels, O outChannels, KH and KW kernel, r rank.
 */
export class LoraConv2d extends LoraLayer<Conv2d> {
  /** Weights [r, C, KH, KW] */
  lora_A = new ModuleDict<Conv2d>();
  /** Weights [O, r, 1, 1] */
  lora_B = new ModuleDict<Conv2d>();
  protected readonly lengthDims = [1, 2, 3];

  /** Adds an adapter with new weights. A layer that has one of this name must not be given another. */
  addAdapter(adapter: string, options: LoraLayerOptions): void {
    const { r, scaling, dropout = 0, initLoraWeights = true, useDora = false } = options;
    const { inChannels, outChannels, kernelSize, stride, padding } = this.base_layer;
    const { device } = this.weight;
    const [A, B] = skipInit(() => [
      new Conv2d(device, inChannels, r, kernelSize, { stride, padding, bias: false }),
      new Conv2d(device, r, outChannels, 1, { bias: false }),
    ]) as [Conv2d, Conv2d];
    if (initLoraWeights === "gaussian") init.normal_(A.weight, 0, 1 / r);
    else init.kaimingUniform_(A.weight, { a: Math.sqrt(5) });
    if (initLoraWeights === false) init.kaimingUniform_(B.weight, { a: Math.sqrt(5) });
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

  /** x [N, C, H, W] → [N, O, H', W'] */
  forward(x: Tensor): Tensor {
    return scope(() => {
      let y = this.base_layer.forward(x);
      for (const adapter of this.acting) {
        const dropout = this.lora_dropout.get(adapter)!;
        const kept = dropout.forward(x);
        const narrow = this.lora_A.get(adapter)!.forward(kept).mul(this.scaling[adapter]!);
        const added = this.lora_B.get(adapter)!.forward(narrow);
        y = this.lora_magnitude_vector.get(adapter)
          ? this.#withDora(adapter, added, y, dropout.p > 0 && this.training ? kept : null)
          : y.add(added);
      }
      return y;
    });
  }

  /** As `LoraLinear`'s; `kept` is the input after a dropout that acts. */
  #withDora(adapter: string, added: Tensor, y: Tensor, kept: Tensor | null): Tensor {
    const channels = (numbers: Tensor) => numbers.reshape([1, -1, 1, 1]).to(y.dtype);
    const factor = channels(this.doraFactor(adapter));
    const shift = this.bias && channels(this.bias);
    if (kept) {
      const again = this.base_layer.forward(kept);
      const plain = shift ? again.sub(shift) : again;
      return y.add(plain.mul(factor.sub(1)).add(added.mul(factor)));
    }
    const scaled = (shift ? y.sub(shift) : y).add(added).mul(factor);
    return shift ? scaled.add(shift) : scaled;
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

  protected override magnitudeShape(lengths: Tensor): Tensor {
    return lengths.reshape([1, -1, 1, 1]);
  }
}
