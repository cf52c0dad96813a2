import type { DistilBertModel } from "@wgrad/models";
import { type Device, noGrad, scope, Tensor } from "@wgrad/tensor";
import type { DataCollator, Example, TokenBatch } from "@wgrad/trainer";

/** Features of the examples of a split. N examples, D the width of the model. */
export interface SplitFeatures {
  /** [N, D]: the hidden state of `[CLS]`, the first token */
  cls: Float32Array;
  /** [N, D]: the mean of the hidden states of all tokens of a text, `[CLS]` and `[SEP]` included */
  mean: Float32Array;
  /** N */
  rows: number;
  /** D */
  columns: number;
  /** Tokens of all examples, without padding. */
  tokens: number;
}

/** What {@link extractFeatures} works with. */
export interface ExtractOptions {
  /** Examples a forward pass. */
  batchSize: number;
  collate: DataCollator<Example, TokenBatch>;
  /** Called after each batch. */
  onBatch?: (batch: number) => void;
}

/**
 * The encoder's features of examples, in their order: a forward pass a batch, without gradients and dropout.
 * @param inputIds token ids of each example, special tokens included
 */
export async function extractFeatures(
  model: DistilBertModel,
  inputIds: readonly Int32Array[],
  { batchSize, collate, onBatch }: ExtractOptions,
): Promise<SplitFeatures> {
  const { device } = model;
  const rows = inputIds.length;
  const columns = model.config.dim;
  const features: SplitFeatures = {
    cls: new Float32Array(rows * columns),
    mean: new Float32Array(rows * columns),
    rows,
    columns,
    tokens: 0,
  };
  model.eval();
  for (let start = 0; start < rows; start += batchSize) {
    const batch = collate(inputIds.slice(start, start + batchSize).map((ids) => ({ inputIds: ids })));
    const forward = () =>
      noGrad(() => scope(() => model.forward(upload(device, batch)).lastHiddenState.to("f32")));
    // The first pass compiles the programs, all at once and in the background.
    const hidden = start === 0 ? await device.prepare(forward) : forward();
    const values = (await hidden.toArray()) as Float32Array;
    hidden.dispose();
    pool(values, batch, start, features);
    features.tokens += batch.numTokens;
    onBatch?.(start / batchSize + 1);
  }
  device.check();
  return features;
}

/** The tensors of a batch. */
function upload(device: Device, batch: TokenBatch) {
  const { batchSize, length } = batch;
  const tensor = (data: Int32Array, shape: readonly number[]) => Tensor.from(device, data, shape);
  return "cuSeqlens" in batch
    ? {
        inputIds: tensor(batch.inputIds, [length]),
        positionIds: tensor(batch.positionIds, [length]),
        cuSeqlens: tensor(batch.cuSeqlens, [batchSize + 1]),
      }
    : {
        inputIds: tensor(batch.inputIds, [batchSize, length]),
        attentionMask: tensor(batch.attentionMask, [batchSize, length]),
      };
}

/**
 * First and mean vector of each row of a batch, summed in f64.
 * @param hidden [T, D], or [B, T, D] with padding behind the tokens of each row
 * @param start row of `features` that the batch begins at
 */
function pool(hidden: Float32Array, batch: TokenBatch, start: number, features: SplitFeatures): void {
  const { columns, cls, mean } = features;
  const sum = new Float64Array(columns);
  for (let i = 0; i < batch.batchSize; i++) {
    const [begin, end] =
      "cuSeqlens" in batch
        ? [batch.cuSeqlens[i]!, batch.cuSeqlens[i + 1]!]
        : [i * batch.length, i * batch.length + tokensOf(batch.attentionMask, i, batch.length)];
    const at = (start + i) * columns;
    cls.set(hidden.subarray(begin * columns, (begin + 1) * columns), at);
    sum.fill(0);
    for (let t = begin; t < end; t++) {
      for (let j = 0; j < columns; j++) sum[j]! += hidden[t * columns + j]!;
    }
    for (let j = 0; j < columns; j++) mean[at + j] = sum[j]! / (end - begin);
  }
}

function tokensOf(mask: Int32Array, row: number, length: number): number {
  return mask.subarray(row * length, (row + 1) * length).reduce((sum, keep) => sum + keep, 0);
}
