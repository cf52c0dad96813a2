import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { TrainerError } from "./errors.js";
import { IGNORED_LABEL } from "./model-inputs.js";

/** One tokenized example. */
export interface Example {
  inputIds: ArrayLike<number>;
  attentionMask?: ArrayLike<number>;
  /** Class id, or several numbers (masked LM: one a token). */
  label?: number | bigint | null;
  labels?: ArrayLike<number>;
  /** 1 for tokens that are not to be masked: `[CLS]`, `[SEP]`. */
  specialTokensMask?: ArrayLike<number>;
}

/** Values on the host that become a tensor of a model's input. */
export interface HostTensor {
  data: Int32Array | Float32Array;
  shape: readonly number[];
}

/** A batch on the host whose rows are padded to one length. B examples, T tokens of the longest (or a multiple of `padToMultipleOf`). */
export interface PaddedBatch {
  /** [B, T] */
  inputIds: Int32Array;
  /** [B, T]; 0 where padded */
  attentionMask: Int32Array;
  /** [B], or [B, T] for token labels; f32 for models whose labels are no classes */
  labels?: Int32Array | Float32Array;
  /** B */
  batchSize: number;
  /** T */
  length: number;
  /** Tokens without padding. */
  numTokens: number;
  /** Further inputs of a model of one's own, by the names that its forward takes. */
  extra?: Readonly<Record<string, HostTensor>>;
}

/**
 * A batch on the host whose rows lie one behind the other: no position between them is padding. B examples, T tokens of all of
 * them, rounded up to a multiple of `padToMultipleOf`; what is rounded up belongs to no example.
 */
export interface FlattenedBatch {
  /** [T] */
  inputIds: Int32Array;
  /** [T]; place of each token in its example, from 0 on */
  positionIds: Int32Array;
  /** [B + 1]; example i is the tokens from `cuSeqlens[i]` to before `cuSeqlens[i + 1]` */
  cuSeqlens: Int32Array;
  /** [B], or [T] for token labels, -100 behind the last example; f32 for models whose labels are no classes */
  labels?: Int32Array | Float32Array;
  /** B */
  batchSize: number;
  /** T */
  length: number;
  /** Tokens of the examples. */
  numTokens: number;
  /** Further inputs of a model of one's own, by the names that its forward takes. */
  extra?: Readonly<Record<string, HostTensor>>;
}

/** A batch of texts on the host. */
export type TokenBatch = PaddedBatch | FlattenedBatch;

/** A batch on the host for a model of any kind: its inputs by the names that the model's forward takes, such as `pixelValues`. */
export interface TensorBatch {
  /** Each with B as its first size, unless it is the same for all examples. */
  inputs: Readonly<Record<string, HostTensor>>;
  /** [B], or [B, …]; -100 where an example is to be left out of loss and metrics */
  labels?: Int32Array | Float32Array;
  /** B */
  batchSize: number;
  /** Tokens or patches that the model sees, for the counts of a run; default 0. */
  numTokens?: number;
}

/** A batch on the host. */
export type CollatedBatch = TokenBatch | TensorBatch;

/** Whether a batch is made of tokens, padded or one behind the other. */
export function isTokenBatch(batch: CollatedBatch): batch is TokenBatch {
  return "inputIds" in batch;
}

/** Which examples a collator is given: what random choices may depend on, so that a resumed run makes the same ones. */
export interface CollateContext {
  /** Rows of the data set. */
  readonly indices: readonly number[];
  /** The epoch, from 0 on. */
  readonly epoch: number;
  /** False in evaluation. */
  readonly training: boolean;
}

/** From examples to a batch. */
export type DataCollator<E extends object = Example, B extends CollatedBatch = CollatedBatch> = (
  examples: readonly E[],
  context?: CollateContext,
) => B;

/** From examples to a batch that comes later: one that reads files or decodes. See `dataloaderNumWorkers`. */
export type AsyncDataCollator<E extends object = Example, B extends CollatedBatch = CollatedBatch> = (
  examples: readonly E[],
  context?: CollateContext,
) => Promise<B>;

/** A collator of whatever examples its data set has; the method's form lets each name the type of its own. */
export type AnyDataCollator = {
  collate(examples: readonly object[], context?: CollateContext): CollatedBatch | Promise<CollatedBatch>;
}["collate"];

/** Options of `dataCollatorWithPadding`. */
export interface PaddingOptions {
  /** Pad the length of a batch up to a multiple of this, so that fewer different shapes occur. Default 1. */
  padToMultipleOf?: number;
}

/** Options of `dataCollatorWithFlattening`. */
export interface FlatteningOptions {
  /**
   * Round the number of tokens of a batch up to a multiple of this, so that few different shapes occur and captured steps are
   * used again. Default 64.
   */
  padToMultipleOf?: number;
}

/** Whether the examples have labels a token, a label each, or none. */
function labelKind(examples: readonly Example[]): "token" | "example" | null {
  if (examples.some((e) => e.labels !== undefined)) return "token";
  return examples.some((e) => e.label !== undefined && e.label !== null) ? "example" : null;
}

/** @throws TrainerError for an example without one among others that have it */
function labelOf(example: Example, i: number): number {
  if (example.label === undefined || example.label === null) {
    throw new TrainerError(
      "E_DATA",
      `example ${i} of a batch has no label, but others have. Filter the data set, or remove the column.`,
    );
  }
  return Number(example.label);
}

/** Pads each batch to its longest example, as `transformers.DataCollatorWithPadding`. */
export function dataCollatorWithPadding(
  tokenizer: Pick<PreTrainedTokenizer, "padTokenId">,
  options: PaddingOptions = {},
): (examples: readonly Example[]) => PaddedBatch {
  const multiple = options.padToMultipleOf ?? 1;
  const padId = tokenizer.padTokenId ?? 0;
  return (examples) => {
    const longest = Math.max(...examples.map((e) => e.inputIds.length));
    const length = Math.max(1, Math.ceil(longest / multiple)) * multiple;
    const batchSize = examples.length;
    const inputIds = new Int32Array(batchSize * length).fill(padId);
    const attentionMask = new Int32Array(batchSize * length);
    const kind = labelKind(examples);
    const labels = kind
      ? new Int32Array(kind === "token" ? batchSize * length : batchSize).fill(IGNORED_LABEL)
      : undefined;
    let numTokens = 0;
    examples.forEach((example, i) => {
      const ids = example.inputIds;
      numTokens += ids.length;
      for (let t = 0; t < ids.length; t++) {
        inputIds[i * length + t] = ids[t]!;
        attentionMask[i * length + t] = example.attentionMask?.[t] ?? 1;
        if (kind === "token") labels![i * length + t] = example.labels?.[t] ?? IGNORED_LABEL;
      }
      if (kind === "example") labels![i] = labelOf(example, i);
    });
    return { inputIds, attentionMask, ...(labels ? { labels } : {}), batchSize, length, numTokens };
  };
}

/**
 * Puts the examples of a batch one behind the other instead of padding them to one length, as
 * `transformers.DataCollatorWithFlattening` does for models that attend by row offsets. Tokens that an example's own
 * `attentionMask` hides are left out; the positions of the others stay what they were.
 * @throws TrainerError, from the collator, for an example without tokens
 */
export function dataCollatorWithFlattening(
  tokenizer: Pick<PreTrainedTokenizer, "padTokenId">,
  options: FlatteningOptions = {},
): (examples: readonly Example[]) => FlattenedBatch {
  const multiple = options.padToMultipleOf ?? 64;
  const padId = tokenizer.padTokenId ?? 0;
  return (examples) => {
    const batchSize = examples.length;
    const visible = examples.map(({ inputIds, attentionMask }) =>
      Array.from({ length: inputIds.length }, (_, t) => t).filter((t) => (attentionMask?.[t] ?? 1) !== 0),
    );
    const numTokens = visible.reduce((sum, places) => sum + places.length, 0);
    const length = Math.max(1, Math.ceil(numTokens / multiple)) * multiple;
    const inputIds = new Int32Array(length).fill(padId);
    const positionIds = new Int32Array(length);
    const cuSeqlens = new Int32Array(batchSize + 1);
    const kind = labelKind(examples);
    const labels = kind
      ? new Int32Array(kind === "token" ? length : batchSize).fill(IGNORED_LABEL)
      : undefined;
    let at = 0;
    examples.forEach((example, i) => {
      if (visible[i]!.length === 0) {
        throw new TrainerError(
          "E_DATA",
          `example ${i} of a batch has no token. Tokenize with special tokens, or filter the data set.`,
        );
      }
      for (const t of visible[i]!) {
        inputIds[at] = example.inputIds[t]!;
        positionIds[at] = t;
        if (kind === "token") labels![at] = example.labels?.[t] ?? IGNORED_LABEL;
        at++;
      }
      cuSeqlens[i + 1] = at;
      if (kind === "example") labels![i] = labelOf(example, i);
    });
    return {
      inputIds,
      positionIds,
      cuSeqlens,
      ...(labels ? { labels } : {}),
      batchSize,
      length,
      numTokens,
    };
  };
}
