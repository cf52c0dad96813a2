import {
  addLayerNorm,
  checkpoint,
  type Device,
  Dropout,
  Embedding,
  feedForward,
  formatShape,
  LayerNorm,
  Linear,
  linearActivation,
  Module,
  ModuleList,
  noGrad,
  scaledDotProductAttention,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { ModelsError } from "../errors.js";
import type { DistilBertConfig } from "./config.js";

/** What the encoder is asked for beside its last hidden state. */
export interface ForwardOptions {
  /** Also return the embeddings' output and that of each layer. */
  outputHiddenStates?: boolean;
  /** Also return the attention probabilities of each layer. */
  outputAttentions?: boolean;
}

/**
 * Input of DistilBERT: rows padded to one length, or one behind the other. Letters: B batch, T tokens (of the longest row, or of
 * all of them).
 */
export interface DistilBertInput extends ForwardOptions {
  /** [B, T] i32; or [T], all rows one behind the other, with `cuSeqlens`. */
  inputIds: Tensor;
  /** [B, T] i32 or bool: 0 where a position is padding. Default: no padding. Not with `cuSeqlens`. */
  attentionMask?: Tensor | null;
  /** In the shape of `inputIds`, i32: place of each token in its row. Default: 0, 1, 2, … in each; needed with `cuSeqlens`. */
  positionIds?: Tensor | null;
  /**
   * [B + 1] i32: row i is the tokens from `cuSeqlens[i]` to before `cuSeqlens[i + 1]`, and attends to itself alone. Tokens from
   * `cuSeqlens[B]` on belong to no row. As `cu_seq_lens_q` of transformers' models.
   */
  cuSeqlens?: Tensor | null;
}

/** Output of the encoder. */
export interface BaseModelOutput {
  /** [B, T, dim]; [T, dim] of rows one behind the other */
  lastHiddenState: Tensor;
  /** `nLayers + 1` in the shape of `lastHiddenState`: the embeddings first. */
  hiddenStates?: Tensor[];
  /** `nLayers` of [B, heads, T, T]. */
  attentions?: Tensor[];
}

/** Word and position embeddings, normalised. */
export class Embeddings extends Module {
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

  forward({ inputIds, positionIds }: DistilBertInput): Tensor {
    return scope(() => {
      const words = this.word_embeddings.forward(inputIds);
      const { weight, bias, eps } = this.LayerNorm;
      let normed: Tensor;
      if (positionIds) {
        // Where every token has a row of positions of its own, the sum needs no kernel of its own.
        normed = addLayerNorm(words, this.position_embeddings.forward(positionIds), weight, bias, eps);
      } else {
        const positions = firstRows(this.position_embeddings, inputIds.size(1)).to(words.dtype);
        normed = this.LayerNorm.forward(words.add(positions));
      }
      return this.dropout.forward(normed);
    });
  }
}

/** Rows 0, 1, 2, … of a table: a part of its weight, unless an adapter has taken its place, which is to be called and not read. */
function firstRows(table: Embedding, count: number): Tensor {
  const { weight } = table;
  if (table.constructor === Embedding) return weight.narrow(0, 0, count);
  const ids = Tensor.full(weight.device, [count], 1, { dtype: "i32" }).cumsum(0).sub(1);
  return table.forward(ids);
}

/** Which tokens attend to which: those of one row. */
export interface Rows {
  /** [B, 1, 1, T] bool, true = may attend, of rows padded to one length; null for no padding. */
  mask: Tensor | null;
  /** [B + 1] i32, of rows one behind the other; else null. */
  cuSeqlens: Tensor | null;
}

/**
 * What attention is told about the rows of a batch.
 * @param positions that the model has
 * @throws ModelsError `E_TOO_LONG` if padded rows are longer than `positions`, `E_PACKED` if what describes rows one behind the
 *   other does not fit together
 */
export function rowsOf(input: DistilBertInput, positions: number): Rows {
  const { inputIds, attentionMask, positionIds, cuSeqlens } = input;
  const shapes = `inputIds is ${formatShape(inputIds.shape)}, positionIds ${positionIds ? formatShape(positionIds.shape) : "missing"}`;
  if (cuSeqlens) {
    if (attentionMask || inputIds.rank !== 1 || positionIds?.numel !== inputIds.numel) {
      throw new ModelsError(
        "E_PACKED",
        `with cuSeqlens, inputIds and positionIds are [T], all rows one behind the other, and there is no attentionMask; ${shapes}. ` +
          "dataCollatorWithFlattening makes such batches.",
      );
    }
    if (input.outputAttentions) {
      throw new ModelsError(
        "E_PACKED",
        "outputAttentions needs rows padded to one length: leave out cuSeqlens.",
      );
    }
    return { mask: null, cuSeqlens };
  }
  if (inputIds.rank !== 2) {
    throw new ModelsError("E_PACKED", `without cuSeqlens, inputIds is [B, T]; ${shapes}.`);
  }
  const [batch, length] = inputIds.shape as [number, number];
  if (length > positions) {
    throw new ModelsError(
      "E_TOO_LONG",
      `a sequence of ${length} tokens is longer than the ${positions} positions of this model. ` +
        `Tokenize with truncation: true and maxLength: ${positions} or less.`,
    );
  }
  return {
    mask: attentionMask ? attentionMask.to("bool").reshape([batch, 1, 1, length]) : null,
    cuSeqlens: null,
  };
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

  /** @param x [B, T, dim], or [T, dim] of rows one behind the other */
  forward(x: Tensor, rows: Rows, outputAttentions: boolean): { context: Tensor; weights: Tensor | null } {
    return scope(() => {
      const dim = x.size(-1);
      const { mask, cuSeqlens } = rows;
      // Rows one behind the other are one row of the batch.
      const [batch, length] = cuSeqlens ? [1, x.size(0)] : [x.size(0), x.size(1)];
      const heads = (y: Tensor) => y.reshape([batch, length, this.#heads, dim / this.#heads]).transpose(1, 2);
      const q = heads(this.q_lin.forward(x));
      const k = heads(this.k_lin.forward(x));
      const v = heads(this.v_lin.forward(x));
      const dropoutP = this.training ? this.dropout.p : 0;
      const attended = scaledDotProductAttention(q, k, v, { mask, cuSeqlens, dropoutP });
      const context = this.out_lin.forward(attended.transpose(1, 2).reshape(x.shape));
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

  /** Before its dropout, which the normalisation that follows does with `dropout.p`. */
  forward(x: Tensor): Tensor {
    const { lin1, lin2 } = this;
    if (isPlain(lin1) && isPlain(lin2))
      return feedForward(x, lin1.weight, lin1.bias, lin2.weight, lin2.bias, this.#activation);
    return scope(() => lin2.forward(linearThen(lin1, x, this.#activation)));
  }
}

/** Whether a layer is what it was built as: an adapter may have taken its place, which is to be called and not read. */
const isPlain = (layer: Linear) => layer.constructor === Linear;

/** activation(layer(x)), in one dispatch where the layer is a plain one. */
export function linearThen(layer: Linear, x: Tensor, activation: DistilBertConfig["activation"]): Tensor {
  if (isPlain(layer)) return linearActivation(x, layer.weight, layer.bias, activation);
  return scope(() => (activation === "gelu" ? layer.forward(x).gelu() : layer.forward(x).relu()));
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

  forward(x: Tensor, rows: Rows, outputAttentions: boolean): { output: Tensor; weights: Tensor | null } {
    return scope(() => {
      const { context, weights } = this.attention.forward(x, rows, outputAttentions);
      const attended = addNorm(context, x, this.sa_layer_norm);
      const dropoutP = this.training ? this.ffn.dropout.p : 0;
      const output = addNorm(this.ffn.forward(attended), attended, this.output_layer_norm, dropoutP);
      return { output, weights };
    });
  }
}

/** LayerNorm(dropout(x) + residual) in one kernel. */
function addNorm(x: Tensor, residual: Tensor, norm: LayerNorm, dropoutP = 0): Tensor {
  return addLayerNorm(x, residual, norm.weight, norm.bias, norm.eps, { dropoutP });
}

/** The block's output, of which only the input is kept. What describes the rows may not live until backward: it is kept too. */
function recomputed(block: TransformerBlock, x: Tensor, rows: Rows): Tensor {
  return checkpoint(
    (hidden, mask, cuSeqlens) => block.forward(hidden, { mask, cuSeqlens }, false).output,
    x,
    rows.mask,
    rows.cuSeqlens,
  );
}

/** The blocks of the encoder. */
export class Transformer extends Module {
  layer: ModuleList<TransformerBlock>;
  /** In training, keep only what goes into each block and compute the rest again in backward. */
  gradientCheckpointing = false;

  constructor(device: Device, config: DistilBertConfig) {
    super();
    this.layer = new ModuleList(
      Array.from({ length: config.nLayers }, () => new TransformerBlock(device, config)),
    );
  }

  forward(x: Tensor, rows: Rows, options: ForwardOptions): BaseModelOutput {
    const hiddenStates = [x];
    const attentions: Tensor[] = [];
    let hidden = x;
    const again = this.gradientCheckpointing && this.training && !options.outputAttentions;
    const last = this.layer.length - 1;
    for (const [i, block] of [...this.layer].entries()) {
      // Backward begins with the last block and needs all of it at once: to compute it again would save nothing.
      const { output, weights } =
        again && i < last
          ? { output: recomputed(block, hidden, rows), weights: null }
          : block.forward(hidden, rows, options.outputAttentions ?? false);
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
