/** What the encoders of this package have in common. */
import {
  type Activation,
  binaryCrossEntropyWithLogits,
  checkpoint,
  crossEntropy,
  Embedding,
  feedForward,
  Linear,
  linearActivation,
  type Module,
  mseLoss,
  noGrad,
  scaledDotProductAttention,
  scope,
  Tensor,
} from "@wgrad/tensor";

/** What an encoder is asked for beside its last hidden state. */
export interface ForwardOptions {
  /** Also return the embeddings' output and that of each layer. */
  outputHiddenStates?: boolean;
  /** Also return the attention probabilities of each layer. */
  outputAttentions?: boolean;
}

/** Output of an encoder. Letters: B batch, T positions, D width. */
export interface BaseModelOutput {
  /** [B, T, D]; [T, D] of rows one behind the other */
  lastHiddenState: Tensor;
  /** One more than there are layers, in the shape of `lastHiddenState`: the embeddings first. */
  hiddenStates?: Tensor[];
  /** One a layer, [B, heads, T, T]. */
  attentions?: Tensor[];
}

/** Which tokens attend to which. */
export interface AttentionRange {
  /** [B, 1, 1, T] bool, true = may be attended, of rows padded to one length; null for no padding. */
  mask: Tensor | null;
  /** [B + 1] i32, of rows one behind the other; else null. */
  cuSeqlens?: Tensor | null;
  /** Each token attends to itself and those before it only. */
  isCausal?: boolean;
}

/** Whether a layer is what it was built as: an adapter may have taken its place, which is to be called and not read. */
export const isPlain = (layer: Linear): boolean => layer.constructor === Linear;

/** Rows 0, 1, 2, … of a table: a part of its weight, unless an adapter has taken its place, which is to be called and not read. */
export function firstRows(table: Embedding, count: number): Tensor {
  const { weight } = table;
  if (table.constructor === Embedding) return weight.narrow(0, 0, count);
  const ids = Tensor.full(weight.device, [count], 1, { dtype: "i32" }).cumsum(0).sub(1);
  return table.forward(ids);
}

const ACTIVATIONS: Record<Activation, (x: Tensor) => Tensor> = {
  gelu: (x) => x.gelu(),
  quick_gelu: (x) => x.quickGelu(),
  relu: (x) => x.relu(),
};

/** activation(layer(x)), in one dispatch where the layer is a plain one. */
export function linearThen(layer: Linear, x: Tensor, activation: Activation): Tensor {
  if (isPlain(layer)) return linearActivation(x, layer.weight, layer.bias, activation);
  return scope(() => ACTIVATIONS[activation](layer.forward(x)));
}

/** second(activation(first(x))), keeping less for backward where both layers are plain ones. */
export function twoLinears(first: Linear, second: Linear, x: Tensor, activation: Activation): Tensor {
  if (isPlain(first) && isPlain(second))
    return feedForward(x, first.weight, first.bias, second.weight, second.bias, activation);
  return scope(() => second.forward(linearThen(first, x, activation)));
}

/** The four layers of an attention block. */
export interface AttentionLayers {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly out: Linear;
}

/**
 * Self-attention of many heads.
 * @param x [B, T, D], or [T, D] of rows one behind the other
 * @param dropoutP of the attention probabilities; 0 outside of training
 * @returns `context` in the shape of x; `weights` [B, heads, T, T] if asked for, else null
 */
export function selfAttention(
  { q, k, v, out }: AttentionLayers,
  x: Tensor,
  heads: number,
  range: AttentionRange,
  dropoutP: number,
  outputAttentions: boolean,
): { context: Tensor; weights: Tensor | null } {
  return scope(() => {
    const dim = x.size(-1);
    const { mask, cuSeqlens = null, isCausal = false } = range;
    // Rows one behind the other are one row of the batch.
    const [batch, length] = cuSeqlens ? [1, x.size(0)] : [x.size(0), x.size(1)];
    const split = (y: Tensor) => y.reshape([batch, length, heads, dim / heads]).transpose(1, 2);
    const [queries, keys, values] = [split(q.forward(x)), split(k.forward(x)), split(v.forward(x))];
    const attended = scaledDotProductAttention(queries, keys, values, {
      mask,
      cuSeqlens,
      isCausal,
      dropoutP,
    });
    const context = out.forward(attended.transpose(1, 2).reshape(x.shape));
    const weights = outputAttentions ? noGrad(() => probabilities(queries, keys, range)) : null;
    return { context, weights };
  });
}

/** As far down as f32 goes: what transformers adds to scores that do not count. */
const LOWEST = -3.4028234e38;

/** softmax(q kᵀ / √d), which attention itself never stores. */
function probabilities(q: Tensor, k: Tensor, { mask, isCausal }: AttentionRange): Tensor {
  let scores = q.matmul(k.transpose(2, 3)).mul(1 / Math.sqrt(q.size(-1)));
  if (mask) scores = scores.maskedFill(mask.eq(0), LOWEST);
  if (isCausal) {
    const later = Tensor.full(q.device, [q.size(2), k.size(2)], 1).triu(1);
    scores = scores.maskedFill(later.eq(1), LOWEST);
  }
  return scores.softmax(-1);
}

/** A layer of an encoder. */
export interface EncoderBlock extends Module {
  forward(
    x: Tensor,
    range: AttentionRange,
    outputAttentions: boolean,
  ): { output: Tensor; weights: Tensor | null };
}

/**
 * Runs the blocks of an encoder one after the other.
 * @param again in training, keep only what goes into each block and compute the rest again in backward
 */
export function runBlocks(
  blocks: readonly EncoderBlock[],
  x: Tensor,
  range: AttentionRange,
  options: ForwardOptions,
  again: boolean,
): BaseModelOutput {
  const hiddenStates = [x];
  const attentions: Tensor[] = [];
  let hidden = x;
  const recompute = again && !options.outputAttentions;
  for (const [i, block] of blocks.entries()) {
    // Backward begins with the last block and needs all of it at once: to compute it again would save nothing.
    const { output, weights } =
      recompute && i < blocks.length - 1
        ? { output: recomputed(block, hidden, range), weights: null }
        : block.forward(hidden, range, options.outputAttentions ?? false);
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

/** The block's output, of which only the input is kept. What describes the rows may not live until backward: it is kept too. */
function recomputed(block: EncoderBlock, x: Tensor, range: AttentionRange): Tensor {
  const { isCausal = false } = range;
  return checkpoint(
    (hidden, mask, cuSeqlens) => block.forward(hidden, { mask, cuSeqlens, isCausal }, false).output,
    x,
    range.mask,
    range.cuSeqlens ?? null,
  );
}

/** Hidden states and attentions of an encoder's output, where they were asked for. */
export function extras({
  hiddenStates,
  attentions,
}: BaseModelOutput): Pick<BaseModelOutput, "hiddenStates" | "attentions"> {
  return { ...(hiddenStates ? { hiddenStates } : {}), ...(attentions ? { attentions } : {}) };
}

/** Output of a model with a head. */
export interface HeadOutput extends Omit<BaseModelOutput, "lastHiddenState"> {
  /** 0-d; present if labels were given. */
  loss?: Tensor;
  logits: Tensor;
}

/** What a classifier's labels are. */
export type ProblemType = "regression" | "single_label_classification" | "multi_label_classification";

/**
 * Loss of a classifier: mean cross entropy (classes, i32), binary cross entropy (several labels at once, f32) or mean squared error
 * (regression). Where the config does not say which, one label is a regression, and the type of the labels tells the others apart.
 * @param logits [B, labels]
 * @param labels [B] i32, [B, labels] f32 or [B] f32
 */
export function classificationLoss(
  logits: Tensor,
  labels: Tensor,
  { problemType, numLabels }: { readonly problemType: ProblemType | null; readonly numLabels: number },
): Tensor {
  const several = labels.dtype === "f32" ? "multi_label_classification" : "single_label_classification";
  const kind = problemType ?? (numLabels === 1 ? "regression" : several);
  if (kind === "regression") return mseLoss(logits.reshape(labels.shape), labels);
  if (kind === "multi_label_classification") return binaryCrossEntropyWithLogits(logits, labels);
  return crossEntropy(logits, labels);
}
