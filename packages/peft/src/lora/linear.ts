import { Linear, linear, linearLowRank, scope, type Tensor } from "@wgrad/tensor";
import { LoraPairLayer } from "./pair-layer.js";

/**
 * A Linear layer with low-rank adapters beside it: y = x Wᵀ + b + Σ scaling · (dropout(x) Aᵀ) Bᵀ over the active adapters.
 * With DoRA each output of W + ΔW has a trained length of its own.
 * Sources: Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rslora), Liu et al. 2024 (DoRA); `peft.tuners.lora.Linear`.
 * Letters: I inFeatures, O outFeatures, r rank.
 */
export class LoraLinear extends LoraPairLayer<Linear> {
  protected readonly lengthDims = 1;

  get inFeatures(): number {
    return this.base_layer.inFeatures;
  }

  get outFeatures(): number {
    return this.base_layer.outFeatures;
  }

  protected makePair(r: number): [Linear, Linear] {
    const { device } = this.weight;
    return [
      new Linear(device, this.inFeatures, r, { bias: false }),
      new Linear(device, r, this.outFeatures, { bias: false }),
    ];
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
}
