import type { Device } from "../device/device.js";
import { dropout } from "../ops/dropout/index.js";
import { embedding } from "../ops/embedding/index.js";
import { layerNorm } from "../ops/layer-norm/index.js";
import { linear } from "../ops/matmul/index.js";
import { Tensor } from "../tensor.js";
import { kaimingUniform_, normal_, uniform_ } from "./init.js";
import { Module, shouldInitialise } from "./module.js";
import { Parameter } from "./parameter.js";

const bool = (value: boolean) => (value ? "True" : "False");

/** y = x Wᵀ + b, as `torch.nn.Linear`: x [*, inFeatures] → [*, outFeatures]. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** [outFeatures, inFeatures] */
  weight: Parameter;
  /** [outFeatures] */
  bias: Parameter | null;

  constructor(device: Device, inFeatures: number, outFeatures: number, options: { bias?: boolean } = {}) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.weight = new Parameter(Tensor.empty(device, [outFeatures, inFeatures]));
    this.bias = (options.bias ?? true) ? new Parameter(Tensor.empty(device, [outFeatures])) : null;
    if (shouldInitialise()) this.resetParameters();
  }

  /** PyTorch's defaults: U(-1/√in, 1/√in) for both. */
  resetParameters(): void {
    kaimingUniform_(this.weight, { a: Math.sqrt(5) });
    const bound = 1 / Math.sqrt(this.inFeatures);
    if (this.bias) uniform_(this.bias, -bound, bound);
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }

  override extraRepr(): string {
    return `in_features=${this.inFeatures}, out_features=${this.outFeatures}, bias=${bool(this.bias !== null)}`;
  }
}

/** Rows of a table by id, as `torch.nn.Embedding`: ids [*] (i32) → [*, embeddingDim]. */
export class Embedding extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  /** Row without gradient; null for none. */
  readonly paddingIdx: number | null;
  /** [numEmbeddings, embeddingDim] */
  weight: Parameter;

  constructor(
    device: Device,
    numEmbeddings: number,
    embeddingDim: number,
    options: { paddingIdx?: number | null } = {},
  ) {
    super();
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.paddingIdx = options.paddingIdx ?? null;
    this.weight = new Parameter(Tensor.empty(device, [numEmbeddings, embeddingDim]));
    if (shouldInitialise()) normal_(this.weight);
  }

  forward(ids: Tensor): Tensor {
    return embedding(this.weight, ids, { paddingIdx: this.paddingIdx });
  }

  override extraRepr(): string {
    const padding = this.paddingIdx === null ? "" : `, padding_idx=${this.paddingIdx}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}

/** Normalisation over the last dimension(s), as `torch.nn.LayerNorm`. */
export class LayerNorm extends Module {
  readonly normalizedShape: readonly number[];
  readonly eps: number;
  weight: Parameter;
  bias: Parameter;

  constructor(device: Device, normalizedShape: number | readonly number[], options: { eps?: number } = {}) {
    super();
    this.normalizedShape = typeof normalizedShape === "number" ? [normalizedShape] : normalizedShape;
    this.eps = options.eps ?? 1e-5;
    this.weight = new Parameter(Tensor.full(device, this.normalizedShape, 1));
    this.bias = new Parameter(Tensor.zeros(device, this.normalizedShape));
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, this.weight, this.bias, this.eps);
  }

  override extraRepr(): string {
    return `(${this.normalizedShape.join(", ")}${this.normalizedShape.length === 1 ? "," : ""}), eps=${this.eps}, elementwise_affine=True`;
  }
}

/** Zeroes elements with probability p in training and scales the rest by 1/(1-p), as `torch.nn.Dropout`. */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    this.p = p;
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training);
  }

  override extraRepr(): string {
    return `p=${this.p}, inplace=False`;
  }
}
