import {
  addLayerNorm,
  type Device,
  Dropout,
  Embedding,
  init,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  noGrad,
  scaledDotProductAttention,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { ModelsError } from "../errors.js";
import { PreTrainedModel } from "../pretrained-model.js";
import { type DistilBertConfig, distilBertConfigJson } from "./config.js";

/** What the encoder is asked for beside its last hidden state. */
export interface ForwardOptions {
  /** Also return the embeddings' output and that of each layer. */
  outputHiddenStates?: boolean;
  /** Also return the attention probabilities of each layer. */
  outputAttentions?: boolean;
}

/** Input of DistilBERT. Letters: B batch, T tokens. */
export interface DistilBertInput extends ForwardOptions {
  /** [B, T] i32 */
  inputIds: Tensor;
  /** [B, T] i32 or bool: 0 where a position is padding. Default: no padding. */
  attentionMask?: Tensor | null;
}

/** Output of the encoder. */
export interface BaseModelOutput {
  /** [B, T, dim] */
  lastHiddenState: Tensor;
  /** `nLayers + 1` of [B, T, dim]: the embeddings first. */
  hiddenStates?: Tensor[];
  /** `nLayers` of [B, heads, T, T]. */
  attentions?: Tensor[];
}

class Embeddings extends Module {
  word_embeddings: Embedding;
  position_embeddings: Embedding;
  LayerNorm: LayerNorm;
  dropout: Dropout;

  constructor(device: Device, config: DistilBertConfig) {
    super();
    this.word_embeddings = new Embedding(device, config.vocabSize, config.dim, {
      paddingIdx: config.padTokenId,
    });
    this.position_embeddings = new Embedding(device, config.maxPositionEmbeddings, config.dim);
    this.LayerNorm = new LayerNorm(device, config.dim, { eps: 1e-12 });
    this.dropout = new Dropout(config.dropout);
  }

  forward(inputIds: Tensor): Tensor {
    return scope(() => {
      const length = inputIds.size(1);
      const limit = this.position_embeddings.numEmbeddings;
      if (length > limit) {
        throw new ModelsError(
          "E_TOO_LONG",
          `a sequence of ${length} tokens is longer than the ${limit} positions of this model. ` +
            `Tokenize with truncation: true and maxLength: ${limit} or less.`,
        );
      }
      const words = this.word_embeddings.forward(inputIds);
      const positions = this.position_embeddings.weight.narrow(0, 0, length);
      return this.dropout.forward(this.LayerNorm.forward(words.add(positions)));
    });
  }
}

class MultiHeadSelfAttention extends Module {
  dropout: Dropout;
  q_lin: Linear;
  k_lin: Linear;
  v_lin: Linear;
  out_lin: Linear;
  readonly #heads: number;

  constructor(device: Device, config: DistilBertConfig) {
    super();
    const { dim } = config;
    this.#heads = config.nHeads;
    this.dropout = new Dropout(config.attentionDropout);
    this.q_lin = new Linear(device, dim, dim);
    this.k_lin = new Linear(device, dim, dim);
    this.v_lin = new Linear(device, dim, dim);
    this.out_lin = new Linear(device, dim, dim);
  }

  /** @param mask [B, 1, 1, T] bool, true = may attend; null for none */
  forward(
    x: Tensor,
    mask: Tensor | null,
    outputAttentions: boolean,
  ): { context: Tensor; weights: Tensor | null } {
    return scope(() => {
      const [batch, length, dim] = x.shape as [number, number, number];
      const size = dim / this.#heads;
      const heads = (y: Tensor) => y.reshape([batch, length, this.#heads, size]).transpose(1, 2);
      const q = heads(this.q_lin.forward(x));
      const k = heads(this.k_lin.forward(x));
      const v = heads(this.v_lin.forward(x));
      const dropoutP = this.training ? this.dropout.p : 0;
      const attended = scaledDotProductAttention(q, k, v, { mask, dropoutP });
      const context = this.out_lin.forward(attended.transpose(1, 2).reshape([batch, length, dim]));
      const weights = outputAttentions ? noGrad(() => probabilities(q, k, mask)) : null;
      return { context, weights };
    });
  }
}

/** softmax(q kᵀ / √d), which attention itself never stores. */
function probabilities(q: Tensor, k: Tensor, mask: Tensor | null): Tensor {
  const scores = q.matmul(k.transpose(2, 3)).mul(1 / Math.sqrt(q.size(-1)));
  return (mask ? scores.maskedFill(mask.eq(0), -3.4028234e38) : scores).softmax(-1);
}

class FFN extends Module {
  dropout: Dropout;
  lin1: Linear;
  lin2: Linear;
  readonly #activation: DistilBertConfig["activation"];

  constructor(device: Device, config: DistilBertConfig) {
    super();
    this.dropout = new Dropout(config.dropout);
    this.lin1 = new Linear(device, config.dim, config.hiddenDim);
    this.lin2 = new Linear(device, config.hiddenDim, config.dim);
    this.#activation = config.activation;
  }

  forward(x: Tensor): Tensor {
    return scope(() =>
      this.dropout.forward(this.lin2.forward(activate(this.lin1.forward(x), this.#activation))),
    );
  }
}

function activate(x: Tensor, activation: DistilBertConfig["activation"]): Tensor {
  return activation === "gelu" ? x.gelu() : x.relu();
}

class TransformerBlock extends Module {
  attention: MultiHeadSelfAttention;
  sa_layer_norm: LayerNorm;
  ffn: FFN;
  output_layer_norm: LayerNorm;

  constructor(device: Device, config: DistilBertConfig) {
    super();
    this.attention = new MultiHeadSelfAttention(device, config);
    this.sa_layer_norm = new LayerNorm(device, config.dim, { eps: 1e-12 });
    this.ffn = new FFN(device, config);
    this.output_layer_norm = new LayerNorm(device, config.dim, { eps: 1e-12 });
  }

  forward(
    x: Tensor,
    mask: Tensor | null,
    outputAttentions: boolean,
  ): { output: Tensor; weights: Tensor | null } {
    return scope(() => {
      const { context, weights } = this.attention.forward(x, mask, outputAttentions);
      const attended = addNorm(context, x, this.sa_layer_norm);
      return { output: addNorm(this.ffn.forward(attended), attended, this.output_layer_norm), weights };
    });
  }
}

/** LayerNorm(x + residual) in one kernel. */
function addNorm(x: Tensor, residual: Tensor, norm: LayerNorm): Tensor {
  return addLayerNorm(x, residual, norm.weight, norm.bias, norm.eps);
}

class Transformer extends Module {
  layer: ModuleList<TransformerBlock>;

  constructor(device: Device, config: DistilBertConfig) {
    super();
    this.layer = new ModuleList(
      Array.from({ length: config.nLayers }, () => new TransformerBlock(device, config)),
    );
  }

  forward(x: Tensor, mask: Tensor | null, options: ForwardOptions): BaseModelOutput {
    const hiddenStates = [x];
    const attentions: Tensor[] = [];
    let hidden = x;
    for (const block of this.layer) {
      const { output, weights } = block.forward(hidden, mask, options.outputAttentions ?? false);
      hidden = output;
      hiddenStates.push(output);
      if (weights) attentions.push(weights);
    }
    return {
      lastHiddenState: hidden,
      ...(options.outputHiddenStates ? { hiddenStates } : {}),
      ...(options.outputAttentions ? { attentions } : {}),
    };
  }
}

/** Sets one row of a table to 0, in place. */
function zeroRow(weight: Tensor, row: number): void {
  const keep = new Float32Array(weight.size(0)).fill(1);
  keep[row] = 0;
  scope(() => weight.copy_(noGrad(() => weight.mul(Tensor.from(weight.device, keep, [weight.size(0), 1])))));
}

/** Fixed position vectors: sin in even columns, cos in odd ones. Source: Vaswani et al. 2017. */
function sinusoidalPositions(positions: number, dim: number): Float32Array {
  const out = new Float32Array(positions * dim);
  for (let p = 0; p < positions; p++) {
    for (let j = 0; j < dim; j++) {
      const angle = p / 10000 ** ((2 * Math.floor(j / 2)) / dim);
      out[p * dim + j] = j % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }
  }
  return out;
}

/** Base of the DistilBERT models: config, and how new weights are drawn. */
export abstract class DistilBertPreTrainedModel extends PreTrainedModel {
  override readonly baseModelPrefix = "distilbert";
  readonly config: DistilBertConfig;

  constructor(device: Device, config: DistilBertConfig) {
    super(device);
    this.config = config;
  }

  override configJson(): Record<string, unknown> {
    return distilBertConfigJson(this.config, this.constructor.name);
  }

  /** Weights N(0, initializerRange), biases 0, LayerNorm 1 and 0, the padding row 0: `_init_weights` of Hugging Face. */
  override initWeights(module: Module): void {
    if (module instanceof Linear) {
      init.normal_(module.weight, 0, this.config.initializerRange);
      module.bias?.zero_();
    } else if (module instanceof Embedding) {
      init.normal_(module.weight, 0, this.config.initializerRange);
      if (module.paddingIdx !== null) zeroRow(module.weight, module.paddingIdx);
    } else if (module instanceof Embeddings && this.config.sinusoidalPosEmbds) {
      module.position_embeddings.weight.copy_(
        sinusoidalPositions(this.config.maxPositionEmbeddings, this.config.dim),
      );
    } else if (module instanceof LayerNorm) {
      module.weight.fill_(1);
      module.bias.zero_();
    }
  }
}

/**
 * The DistilBERT encoder. Source: Sanh et al. 2019; `transformers.DistilBertModel`.
 * DistilBERT-base has 66,362,880 parameters.
 */
export class DistilBertModel extends DistilBertPreTrainedModel {
  embeddings: Embeddings;
  transformer: Transformer;

  constructor(device: Device, config: DistilBertConfig) {
    super(device, config);
    this.embeddings = new Embeddings(device, config);
    this.transformer = new Transformer(device, config);
  }

  /** @throws ModelsError `E_TOO_LONG` if T is over the model's positions */
  forward(input: DistilBertInput): BaseModelOutput {
    return scope(() => {
      const { inputIds, attentionMask } = input;
      const [batch, length] = inputIds.shape as [number, number];
      const mask = attentionMask ? attentionMask.to("bool").reshape([batch, 1, 1, length]) : null;
      return this.transformer.forward(this.embeddings.forward(inputIds), mask, input);
    });
  }

  protected override get baseModel(): Module {
    return this;
  }
}
