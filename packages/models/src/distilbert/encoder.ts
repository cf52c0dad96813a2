import {
  addLayerNorm,
  type Device,
  Dropout,
  Embedding,
  formatShape,
  LayerNorm,
  Linear,
  Module,
  ModuleList,
  scope,
  type Tensor,
} from "@wgrad/tensor";
import { ModelsError } from "../errors.js";
import {
  type AttentionRange,
  type BaseModelOutput,
  type ForwardOptions,
  firstRows,
  runBlocks,
  selfAttention,
  twoLinears,
} from "../transformer.js";
import type { DistilBertConfig } from "./config.js";

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

/**
 * What attention is told about the rows of a batch.
 * @param positions that the model has
 * @throws ModelsError `E_TOO_LONG` if padded rows are longer than `positions`, `E_PACKED` if what describes rows one behind the
 *   other does not fit together
 */
export function rowsOf(input: DistilBertInput, positions: number): AttentionRange {
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
  forward(
    x: Tensor,
    range: AttentionRange,
    outputAttentions: boolean,
  ): { context: Tensor; weights: Tensor | null } {
    const layers = { q: this.q_lin, k: this.k_lin, v: this.v_lin, out: this.out_lin };
    const dropoutP = this.training ? this.dropout.p : 0;
    return selfAttention(layers, x, this.#heads, range, dropoutP, outputAttentions);
  }
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
    return twoLinears(this.lin1, this.lin2, x, this.#activation);
  }
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
    range: AttentionRange,
    outputAttentions: boolean,
  ): { output: Tensor; weights: Tensor | null } {
    return scope(() => {
      const { context, weights } = this.attention.forward(x, range, outputAttentions);
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

  forward(x: Tensor, range: AttentionRange, options: ForwardOptions): BaseModelOutput {
    return runBlocks([...this.layer], x, range, options, this.gradientCheckpointing && this.training);
  }
}
