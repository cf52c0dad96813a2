import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { TrainerError } from "./errors.js";

/** One tokenized example. */
export interface Example {
  inputIds: ArrayLike<number>;
  attentionMask?: ArrayLike<number>;
  /** Class id, or several numbers (masked LM: one a token). */
  label?: number | bigint | null;
  labels?: ArrayLike<number>;
}

/** A batch on the host. B examples, T tokens of the longest (or a multiple of `padToMultipleOf`). */
export interface CollatedBatch {
  /** [B, T] */
  inputIds: Int32Array;
  /** [B, T]; 0 where padded */
  attentionMask: Int32Array;
  /** [B], or [B, T] for token labels */
  labels?: Int32Array;
  batchSize: number;
  length: number;
  /** Tokens without padding. */
  numTokens: number;
}

/** From examples to a batch. */
export type DataCollator = (examples: readonly Example[]) => CollatedBatch;

/** Options of `dataCollatorWithPadding`. */
export interface PaddingOptions {
  /** Pad the length of a batch up to a multiple of this, so that fewer different shapes occur. Default 1. */
  padToMultipleOf?: number;
}

/** Pads each batch to its longest example, as `transformers.DataCollatorWithPadding`. */
export function dataCollatorWithPadding(
  tokenizer: Pick<PreTrainedTokenizer, "padTokenId">,
  options: PaddingOptions = {},
): DataCollator {
  const multiple = options.padToMultipleOf ?? 1;
  const padId = tokenizer.padTokenId ?? 0;
  return (examples) => {
    const longest = Math.max(...examples.map((e) => e.inputIds.length));
    const length = Math.max(1, Math.ceil(longest / multiple)) * multiple;
    const batchSize = examples.length;
    const inputIds = new Int32Array(batchSize * length).fill(padId);
    const attentionMask = new Int32Array(batchSize * length);
    const perToken = examples.some((e) => e.labels !== undefined);
    const labelled = perToken || examples.some((e) => e.label !== undefined && e.label !== null);
    const labels = labelled
      ? new Int32Array(perToken ? batchSize * length : batchSize).fill(-100)
      : undefined;
    let numTokens = 0;
    examples.forEach((example, i) => {
      const ids = example.inputIds;
      numTokens += ids.length;
      for (let t = 0; t < ids.length; t++) {
        inputIds[i * length + t] = ids[t]!;
        attentionMask[i * length + t] = example.attentionMask?.[t] ?? 1;
        if (perToken) labels![i * length + t] = example.labels?.[t] ?? -100;
      }
      if (labelled && !perToken) {
        if (example.label === undefined || example.label === null) {
          throw new TrainerError(
            "E_DATA",
            `example ${i} of a batch has no label, but others have. Filter the data set, or remove the column.`,
          );
        }
        labels![i] = Number(example.label);
      }
    });
    return { inputIds, attentionMask, ...(labels ? { labels } : {}), batchSize, length, numTokens };
  };
}
