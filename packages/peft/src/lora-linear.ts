import {
  Dropout,
  init,
  Linear,
  linear,
  Module,
  noGrad,
  type Parameter,
  scope,
  skipInit,
  type Tensor,
} from "@wgrad/tensor";
import type { LoraConfig } from "./config.js";

/** Settings of one layer's adapter. */
export interface LoraLinearOptions {
  /** Rank, from 1 on. */
  r: number;
  /** What the adapter's output is multiplied by. */
  scaling: number;
  /** Dropout of the adapter's input. Default 0. */
  dropout?: number;
  /** See `LoraConfig.initLoraWeights`. Default true. */
  initLoraWeights?: LoraConfig["initLoraWeights"];
}

/**
 * A Linear layer with a low-rank adapter beside it: y = x Wᵀ + b + scaling · (dropout(x) Aᵀ) Bᵀ. It stands in the tree where
 * the Linear stood, which is kept as `base_layer`. Source: Hu et al. 2021; `peft.tuners.lora.Linear`.
 * Letters: I inFeatures, O outFeatures, r rank.
 */
export class LoraLinear extends Module {
  base_layer: Linear;
  lora_dropout: Dropout;
  /** weight [r, I] */
  lora_A: Linear;
  /** weight [O, r] */
  lora_B: Linear;
  readonly scaling: number;

  constructor(base: Linear, options: LoraLinearOptions) {
    super();
    const { device } = base.weight;
    const { r, scaling, dropout = 0, initLoraWeights = true } = options;
    this.base_layer = base;
    this.training = base.training;
    this.scaling = scaling;
    this.lora_dropout = new Dropout(dropout);
    const [A, B] = skipInit(() => [
      new Linear(device, base.inFeatures, r, { bias: false }),
      new Linear(device, r, base.outFeatures, { bias: false }),
    ]) as [Linear, Linear];
    this.lora_A = A;
    this.lora_B = B;
    if (initLoraWeights === "gaussian") init.normal_(A.weight, 0, 1 / r);
    else A.resetParameters();
    if (initLoraWeights === false) B.resetParameters();
    else B.weight.zero_();
    this.train(base.training);
  }

  get inFeatures(): number {
    return this.base_layer.inFeatures;
  }

  get outFeatures(): number {
    return this.base_layer.outFeatures;
  }

  /** The base's, [O, I]. */
  get weight(): Parameter {
    return this.base_layer.weight;
  }

  /** The base's, [O]. */
  get bias(): Parameter | null {
    return this.base_layer.bias;
  }

  /** x [*, I] → [*, O] */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const y = this.base_layer.forward(x);
      const narrow = linear(this.lora_dropout.forward(x), this.lora_A.weight);
      // Scaled where it is narrow: r numbers a position instead of O.
      const scaled = this.scaling === 1 ? narrow : narrow.mul(this.scaling);
      return y.add(linear(scaled, this.lora_B.weight));
    });
  }

  /** What the adapter adds to the weight: scaling · B A, [O, I]. The caller owns it. */
  deltaWeight(): Tensor {
    return noGrad(() => scope(() => this.lora_B.weight.matmul(this.lora_A.weight).mul(this.scaling)));
  }

  /** Adds the adapter to the weight of the base layer, in place. */
  mergeIntoBase(): void {
    noGrad(() => scope(() => this.weight.copy_(this.weight.add(this.deltaWeight()))));
  }
}
