import type { PreTrainedModel } from "@wgrad/models";
import { type Device, Tensor } from "@wgrad/tensor";
import { type CollatedBatch, type HostTensor, isTokenBatch } from "./data-collator.js";

/** What a model gave for a batch. */
export interface ModelOutputs {
  /** 0-d; where labels were given */
  loss?: Tensor | null;
  /** [B, labels], or a value a token */
  logits: Tensor;
}

/**
 * Any model with weights to train. One whose forward gives neither loss nor logits, such as `CLIPModel`, is trained by a subclass of
 * `Trainer` whose `computeLoss` makes them from what it gives.
 */
export type AnyModel = PreTrainedModel & { forward(input: never): object };

/** A model that the trainer can train: gives a loss where labels are given. A `PeftModel` of such a model is one too. */
export interface TrainableModel extends PreTrainedModel {
  forward(input: ModelInputs): ModelOutputs;
}

/**
 * A batch on the device, as a model's forward takes it: what the collator made, by its names. Only a batch of texts has `inputIds`; one
 * of a `TensorBatch` has what its `inputs` say, such as `pixelValues`.
 */
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
  /** What the collator's `extra` or `inputs` holds, by its names. */
  [name: string]: Tensor | null | undefined;
};

/** What a label is where there is none: losses leave it out. */
export const IGNORED_LABEL = -100;

/** Whether the labels of a batch are a label a token. */
export function hasTokenLabels(batch: CollatedBatch): boolean {
  if (!isTokenBatch(batch)) return false;
  const { labels, inputIds, batchSize } = batch;
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
  const tensors = (values: Readonly<Record<string, HostTensor>> = {}) =>
    Object.fromEntries(
      Object.entries(values).map(([name, { data, shape: of }]) => [name, Tensor.from(device, data, of)]),
    );
  if (!isTokenBatch(batch)) {
    const { inputs, labels, batchSize } = batch;
    const of = labels && labels.length !== batchSize ? [batchSize, labels.length / batchSize] : [batchSize];
    return { ...tensors(inputs), labels: labels ? Tensor.from(device, labels, of) : null } as ModelInputs;
  }
  const { batchSize, length, labels } = batch;
  const shape = "cuSeqlens" in batch ? [length] : [batchSize, length];
  const integers = (data: Int32Array, of: readonly number[]) => Tensor.from(device, data, of);
  return {
    inputIds: integers(batch.inputIds, shape),
    ...("cuSeqlens" in batch
      ? {
          positionIds: integers(batch.positionIds, shape),
          cuSeqlens: integers(batch.cuSeqlens, [batchSize + 1]),
        }
      : { attentionMask: integers(batch.attentionMask, shape) }),
    ...tensors(batch.extra),
    labels: labels ? Tensor.from(device, labels, hasTokenLabels(batch) ? shape : [batchSize]) : null,
  } as ModelInputs;
}
