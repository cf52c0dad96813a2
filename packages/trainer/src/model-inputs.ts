import type { HeadOutput, PreTrainedModel } from "@wgrad/models";
import { type Device, Tensor } from "@wgrad/tensor";
import type { CollatedBatch } from "./data-collator.js";

/** A model that the trainer can train: gives a loss where labels are given. A `PeftModel` of such a model is one too. */
export interface TrainableModel extends PreTrainedModel {
  forward(input: ModelInputs): HeadOutput;
}

/** A batch on the device, as a model's forward takes it: a `PaddedBatch` or a `FlattenedBatch` of the collator. */
export type ModelInputs = {
  /** [B, T] i32, or [T] with `cuSeqlens` */
  inputIds: Tensor;
  /** [B, T] i32, of a padded batch */
  attentionMask?: Tensor | null;
  /** [T] i32, of a flattened batch */
  positionIds?: Tensor | null;
  /** [B + 1] i32, of a flattened batch */
  cuSeqlens?: Tensor | null;
  /** [B] i32 or f32, or a label a token in the shape of `inputIds`; null where the data set has none */
  labels?: Tensor | null;
  /** What the collator's `extra` holds, by its names. */
  [name: string]: Tensor | null | undefined;
};

/** What a label is where there is none: losses leave it out. */
export const IGNORED_LABEL = -100;

/** Whether the labels of a batch are a label a token. */
export function hasTokenLabels({ labels, inputIds, batchSize }: CollatedBatch): boolean {
  return labels !== undefined && labels.length === inputIds.length && labels.length !== batchSize;
}

/** Labels that count in the loss: tokens or examples whose label is not -100; the examples where there are no labels. */
export function itemsOf({ labels, batchSize }: CollatedBatch): number {
  if (!labels) return batchSize;
  let items = 0;
  for (const label of labels) if (label !== IGNORED_LABEL) items++;
  return items;
}

/** Puts a batch on the device. */
export function uploadBatch(device: Device, batch: CollatedBatch): ModelInputs {
  const { batchSize, length, labels } = batch;
  const shape = "cuSeqlens" in batch ? [length] : [batchSize, length];
  const integers = (data: Int32Array, of: readonly number[]) => Tensor.from(device, data, of);
  const extra = Object.entries(batch.extra ?? {}).map(([name, { data, shape: of }]) => [
    name,
    Tensor.from(device, data, of),
  ]);
  return {
    inputIds: integers(batch.inputIds, shape),
    ...("cuSeqlens" in batch
      ? {
          positionIds: integers(batch.positionIds, shape),
          cuSeqlens: integers(batch.cuSeqlens, [batchSize + 1]),
        }
      : { attentionMask: integers(batch.attentionMask, shape) }),
    ...Object.fromEntries(extra),
    labels: labels ? Tensor.from(device, labels, hasTokenLabels(batch) ? shape : [batchSize]) : null,
  };
}
