import { Conv2d, scope, type Tensor } from "@wgrad/tensor";
import { LoraPairLayer } from "./pair-layer.js";

/**
 * A convolution with low-rank adapters beside it: A is a convolution of the same kernel to r channels, B one of 1 × 1 back.
 * Source: `peft.tuners.lora.Conv2d`. Letters: C inChannels, O outChannels, KH and KW kernel, r rank.
 */
export class LoraConv2d extends LoraPairLayer<Conv2d> {
  protected readonly lengthDims = [1, 2, 3];

  protected makePair(r: number): [Conv2d, Conv2d] {
    const { inChannels, outChannels, kernelSize, stride, padding } = this.base_layer;
    const { device } = this.weight;
    return [
      new Conv2d(device, inChannels, r, kernelSize, { stride, padding, bias: false }),
      new Conv2d(device, r, outChannels, 1, { bias: false }),
    ];
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

  protected override magnitudeShape(lengths: Tensor): Tensor {
    return lengths.reshape([1, -1, 1, 1]);
  }
}
