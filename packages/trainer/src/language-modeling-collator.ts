import { philox4x32 } from "@wgrad/datasets";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import {
  type CollateContext,
  type DataCollator,
  dataCollatorWithFlattening,
  dataCollatorWithPadding,
  type Example,
  type TokenBatch,
} from "./data-collator.js";
import { TrainerError } from "./errors.js";
import { IGNORED_LABEL } from "./model-inputs.js";

/** Options of `dataCollatorForLanguageModeling`, with the names and defaults of `transformers.DataCollatorForLanguageModeling`. */
export interface LanguageModelingOptions {
  /** Share of the tokens that are to be predicted. Default 0.15. */
  mlmProbability?: number;
  /** Share of those that become `[MASK]`. Default 0.8. */
  maskReplaceProb?: number;
  /** Share of those that become a token drawn from the whole vocabulary; the rest stays what it is. Default 0.1. */
  randomReplaceProb?: number;
  /** Which tokens are drawn depends on it, the epoch and the example alone. Default 42. */
  seed?: number;
  /** Rows one behind the other instead of padded. Default false. */
  flatten?: boolean;
  /** Round a batch up to a multiple of so many tokens. Default 64 of all rows with `flatten`, else 1 of the longest. */
  padToMultipleOf?: number;
}

/** What the collator needs of a tokenizer. */
export type MaskingTokenizer = Pick<
  PreTrainedTokenizer,
  "padTokenId" | "maskTokenId" | "allSpecialIds" | "fullVocabSize"
>;

/** Keeps the masks of an evaluation apart from those of a training epoch. */
const EVALUATION = 0x80000000;

/**
 * Masks tokens for masked language modelling: the labels are -100 but where a token is to be predicted. An example's labels of its own
 * are left out. What is masked depends on seed, epoch and the example's row alone, whatever batch it is in: a resumed run masks the
 * same tokens, and all evaluations mask alike.
 * @throws TrainerError `E_ARG_VALUE` for a tokenizer without a mask token, or shares that are none
 */
export function dataCollatorForLanguageModeling(
  tokenizer: MaskingTokenizer,
  options: LanguageModelingOptions = {},
): DataCollator<Example, TokenBatch> {
  const { mlmProbability = 0.15, maskReplaceProb = 0.8, randomReplaceProb = 0.1, seed = 42 } = options;
  const { maskTokenId, fullVocabSize } = tokenizer;
  if (maskTokenId === undefined)
    throw new TrainerError(
      "E_ARG_VALUE",
      "this tokenizer has no mask token, which masked language modelling needs. Take the tokenizer of a model such as DistilBERT.",
    );
  if (!(mlmProbability > 0 && mlmProbability <= 1))
    throw new TrainerError(
      "E_ARG_VALUE",
      `mlmProbability is ${mlmProbability}, expected one over 0 and up to 1.`,
    );
  if (maskReplaceProb < 0 || randomReplaceProb < 0 || maskReplaceProb + randomReplaceProb > 1 + 1e-12)
    throw new TrainerError(
      "E_ARG_VALUE",
      `maskReplaceProb ${maskReplaceProb} and randomReplaceProb ${randomReplaceProb} are shares of one: neither below 0, their sum not over 1.`,
    );
  const special = new Set(tokenizer.allSpecialIds);
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  const { padToMultipleOf, flatten = false } = options;
  const padding = padToMultipleOf === undefined ? {} : { padToMultipleOf };
  const collate = flatten
    ? dataCollatorWithFlattening(tokenizer, padding)
    : dataCollatorWithPadding(tokenizer, padding);

  const mask = (
    { inputIds, attentionMask, specialTokensMask }: Example,
    row: number,
    epoch: number,
  ): Example => {
    const ids = Int32Array.from(inputIds);
    const labels = new Int32Array(ids.length).fill(IGNORED_LABEL);
    for (let t = 0; t < ids.length; t++) {
      const id = ids[t]!;
      if (specialTokensMask ? specialTokensMask[t] === 1 : special.has(id)) continue;
      if ((attentionMask?.[t] ?? 1) === 0) continue;
      const [chosen, fate, word] = philox4x32([t, row, epoch, 0], key);
      if (chosen / 2 ** 32 >= mlmProbability) continue;
      labels[t] = id;
      const share = fate / 2 ** 32;
      if (share < maskReplaceProb) ids[t] = maskTokenId;
      else if (share < maskReplaceProb + randomReplaceProb)
        ids[t] = Math.floor((word / 2 ** 32) * fullVocabSize);
    }
    return { inputIds: ids, ...(attentionMask ? { attentionMask } : {}), labels };
  };

  return (examples, context?: CollateContext) => {
    const epoch = context?.training === false ? EVALUATION : (context?.epoch ?? 0);
    return collate(examples.map((example, i) => mask(example, context?.indices[i] ?? i, epoch)));
  };
}
