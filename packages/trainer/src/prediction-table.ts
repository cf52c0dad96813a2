import { type CollatedBatch, isTokenBatch } from "./data-collator.js";
import { TrainerError } from "./errors.js";

/** What pads rows of different length, as in transformers. */
const PAD = -100;

/** More values than this are not gathered: 1 GiB of f32. */
const MOST_VALUES = 2 ** 28;

/** Rows of an evaluation, put back into the order of the data set. */
export interface Table<A> {
  values: A;
  /** [N, …], or [N, T, …] where each token has a value; shorter rows are filled up with -100. */
  shape: number[];
}

/** Collects what batches give for each example. */
export class PredictionTable {
  readonly #rows: (ArrayLike<number> | undefined)[];
  /** Shape of a row without its tokens. */
  #inner: readonly number[] = [];
  #perToken = false;
  #values = 0;

  constructor(numRows: number) {
    this.#rows = new Array<undefined>(numRows).fill(undefined);
  }

  /**
   * Adds a batch's values.
   * @param shape [B, …], or with `perToken` [B, T, …] of a padded batch and [T, …] of a flattened one
   * @throws TrainerError `E_DATA` if there are too many
   */
  add(
    values: ArrayLike<number> & { subarray(from: number, to: number): ArrayLike<number> },
    shape: readonly number[],
    batch: CollatedBatch,
    indices: readonly number[],
    perToken: boolean,
  ): void {
    const flat = "cuSeqlens" in batch;
    this.#perToken = perToken;
    this.#inner = shape.slice(perToken && !flat ? 2 : 1);
    const size = this.#inner.reduce((a, b) => a * b, 1);
    for (const [i, row] of indices.entries()) {
      const [from, length] = perToken ? tokensOf(batch, i) : [i, 1];
      const mine = values.subarray(from * size, (from + length) * size);
      this.#values += mine.length;
      // A part of a batch's values would keep all of them.
      this.#rows[row] = Array.from(mine);
    }
    if (this.#values > MOST_VALUES)
      throw new TrainerError(
        "E_DATA",
        `the predictions have more than ${MOST_VALUES} values ([${shape.join(", ")}] for a batch of ${indices.length}): too many to gather. ` +
          "Give preprocessLogitsForMetrics, which makes them small on the device (such as logits.argmax(-1)), or predictionLossOnly.",
      );
  }

  /** All rows; null if there is none. */
  gather<A extends Float32Array | Int32Array>(make: (length: number) => A): Table<A> | null {
    if (this.#rows.some((row) => row === undefined)) return null;
    const rows = this.#rows as ArrayLike<number>[];
    const size = this.#inner.reduce((a, b) => a * b, 1);
    const longest = this.#perToken ? rows.reduce((most, row) => Math.max(most, row.length / size), 0) : 1;
    const width = longest * size;
    const values = make(rows.length * width);
    if (this.#perToken) values.fill(PAD);
    for (const [i, row] of rows.entries()) values.set(row, i * width);
    return { values, shape: [rows.length, ...(this.#perToken ? [longest] : []), ...this.#inner] };
  }
}

/** First token of an example of a batch, and how many there are. */
function tokensOf(batch: CollatedBatch, i: number): [from: number, length: number] {
  if (!isTokenBatch(batch)) return [i, 1];
  if ("cuSeqlens" in batch) return [batch.cuSeqlens[i]!, batch.cuSeqlens[i + 1]! - batch.cuSeqlens[i]!];
  const { length, attentionMask } = batch;
  let end = length;
  while (end > 0 && attentionMask[i * length + end - 1] === 0) end--;
  return [i * length, end];
}
