/** Rows of different lengths to rows of one. */
import { TokenizerError } from "../errors.js";
import type { BatchEncoding, Encoding, Offset, PadOptions } from "./types.js";

/** What padding needs to know of a tokenizer. */
export interface Padder {
  padTokenId: number | undefined;
  paddingSide: "left" | "right";
  modelMaxLength: number;
}

/** `PreTrainedTokenizer.pad`. @throws TokenizerError `E_TOKENIZER_PADDING` without a pad token. */
export function padBatch(
  input: BatchEncoding | readonly Encoding[],
  options: PadOptions,
  { padTokenId: padId, paddingSide, modelMaxLength }: Padder,
): BatchEncoding {
  const batch = isRows(input) ? fromRows(input) : input;
  const { padding = true, padToMultipleOf, maxLength = modelMaxLength } = options;
  if (padding === false || padding === "do_not_pad") return batch;
  const longest = batch.inputIds.reduce((most, row) => Math.max(most, row.length), 0);
  let length = padding === "max_length" && Number.isFinite(maxLength) ? maxLength : longest;
  if (padToMultipleOf) length = Math.ceil(length / padToMultipleOf) * padToMultipleOf;
  if (padId === undefined) {
    throw new TokenizerError(
      "E_TOKENIZER_PADDING",
      `padding was asked for, but this tokenizer has no pad token. Name one as "pad_token" in tokenizer_config.json.`,
    );
  }
  const fill = <T>(rows: readonly T[][], value: () => T): T[][] =>
    rows.map((row) => {
      const missing = Array.from({ length: Math.max(0, length - row.length) }, value);
      return paddingSide === "left" ? [...missing, ...row] : [...row, ...missing];
    });
  const padded: BatchEncoding = {
    inputIds: fill(batch.inputIds, () => padId),
    attentionMask: fill(batch.attentionMask, () => 0),
  };
  if (batch.tokenTypeIds) padded.tokenTypeIds = fill(batch.tokenTypeIds, () => 0);
  if (batch.offsetMapping) padded.offsetMapping = fill<Offset>(batch.offsetMapping, () => [0, 0]);
  if (batch.specialTokensMask) padded.specialTokensMask = fill(batch.specialTokensMask, () => 1);
  return padded;
}

function isRows(input: BatchEncoding | readonly Encoding[]): input is readonly Encoding[] {
  return Array.isArray(input);
}

function fromRows(rows: readonly Encoding[]): BatchEncoding {
  const batch: BatchEncoding = {
    inputIds: rows.map((row) => row.inputIds),
    attentionMask: rows.map((row) => row.attentionMask ?? row.inputIds.map(() => 1)),
  };
  if (rows[0]?.tokenTypeIds)
    batch.tokenTypeIds = rows.map((row) => row.tokenTypeIds ?? row.inputIds.map(() => 0));
  if (rows[0]?.offsetMapping) batch.offsetMapping = rows.map((row) => row.offsetMapping ?? []);
  if (rows[0]?.specialTokensMask) batch.specialTokensMask = rows.map((row) => row.specialTokensMask ?? []);
  return batch;
}

/** The only row of a batch of one. */
export function firstRow(batch: BatchEncoding): Encoding {
  const row: Encoding = { inputIds: batch.inputIds[0]!, attentionMask: batch.attentionMask[0]! };
  if (batch.tokenTypeIds) row.tokenTypeIds = batch.tokenTypeIds[0]!;
  if (batch.offsetMapping) row.offsetMapping = batch.offsetMapping[0]!;
  if (batch.specialTokensMask) row.specialTokensMask = batch.specialTokensMask[0]!;
  return row;
}
