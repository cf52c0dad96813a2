/** A small classifier and its input, for the tests of this package. */
import { DistilBertForSequenceClassification, distilBertConfig, type HeadInput } from "@wgrad/models";
import { type Device, manualSeed, noGrad, scope, Tensor } from "@wgrad/tensor";
import type { PeftModel } from "../peft-model.js";

export type Classifier = DistilBertForSequenceClassification;

/** Two layers of width 16, the same weights each time; no dropout. */
export function tinyModel(device: Device): Classifier {
  manualSeed(device, 3);
  const config = distilBertConfig({
    vocab_size: 30,
    max_position_embeddings: 16,
    dim: 16,
    hidden_dim: 32,
    n_layers: 2,
    n_heads: 2,
    initializer_range: 0.2,
    dropout: 0,
    attention_dropout: 0,
    seq_classif_dropout: 0,
  });
  return new DistilBertForSequenceClassification(device, config).initAllWeights();
}

const ints = (device: Device, values: readonly number[], shape: readonly number[]) =>
  Tensor.from(device, Int32Array.from(values), shape);

/** Rows of 4 and 3 tokens, padded to one length. */
export const padded = (device: Device): HeadInput => ({
  inputIds: ints(device, [1, 5, 9, 2, 1, 7, 2, 0], [2, 4]),
  attentionMask: ints(device, [1, 1, 1, 1, 1, 1, 1, 0], [2, 4]),
  labels: ints(device, [0, 1], [2]),
});

/** The same rows one behind the other, with a token that belongs to none. */
export const packed = (device: Device): HeadInput => ({
  inputIds: ints(device, [1, 5, 9, 2, 1, 7, 2, 0], [8]),
  positionIds: ints(device, [0, 1, 2, 3, 0, 1, 2, 0], [8]),
  cuSeqlens: ints(device, [0, 4, 7], [3]),
  labels: ints(device, [0, 1], [2]),
});

/** Logits as numbers. */
export async function logitsOf(
  model: { forward(input: HeadInput): { logits: Tensor } },
  input: HeadInput,
): Promise<number[]> {
  const made = noGrad(() => scope(() => model.forward(input).logits));
  const values = [...((await made.toArray()) as Float32Array)];
  made.dispose();
  return values;
}

/** Adds other numbers to all that an adapter consists of, so that it changes the outputs. */
export async function stir(model: PeftModel<Classifier>, adapter: string, by = 0.3): Promise<void> {
  let i = adapter.length;
  for (const parameter of model.adapterState(adapter).values()) {
    const values = (await parameter.toArray()) as Float32Array;
    parameter.copy_(values.map((value) => value + by * Math.sin(++i * 1.7)));
  }
}

/** The largest difference of two lists of numbers. */
export const difference = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
