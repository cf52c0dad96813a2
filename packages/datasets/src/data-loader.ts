import type { Batch, Dataset, Row } from "./dataset.js";
import { badArgument, DatasetError } from "./errors.js";
import { RandomSampler, type Sampler, type SamplerState, SequentialSampler } from "./sampler.js";

/** Options of {@link DataLoader}; PyTorch's names and defaults, except that a shuffle without a seed has seed 0. */
export interface DataLoaderOptions<R extends object, B> {
  /** Rows of a batch; default 1. */
  batchSize?: number;
  /** A new order each epoch; default false. */
  shuffle?: boolean;
  /** Seed of the order; default 0. */
  seed?: number;
  /** Leave out a last batch that is not full; default false. */
  dropLast?: boolean;
  /** Rows of a batch → the batch; default: column by column, numbers as typed arrays. May return a promise. */
  collateFn?: (rows: R[]) => B;
  /** Takes the place of `shuffle` and `seed`. */
  sampler?: Sampler;
}

/**
 * Batches of a data set. Iterating gives one epoch; the next iteration is the next epoch. `for await` works as well and
 * waits for a `collateFn` that returns promises.
 */
export class DataLoader<R extends object = Row, B = Batch> implements Iterable<B> {
  readonly dataset: Dataset<R>;
  readonly batchSize: number;
  readonly dropLast: boolean;
  readonly sampler: Sampler;
  readonly #collateFn: ((rows: R[]) => B) | undefined;

  /** @throws DatasetError E_EMPTY, E_ARGUMENT */
  constructor(dataset: Dataset<R>, options: DataLoaderOptions<R, B> = {}) {
    const batchSize = options.batchSize ?? 1;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw badArgument("DataLoader", "batchSize", batchSize, "a whole number from 1");
    }
    if (options.sampler !== undefined && (options.shuffle !== undefined || options.seed !== undefined)) {
      throw badArgument(
        "DataLoader",
        "sampler",
        "given with shuffle or seed",
        "given alone: it decides the order",
      );
    }
    const numRows = options.sampler?.length ?? dataset.numRows;
    if (numRows < (options.dropLast ? batchSize : 1)) {
      throw new DatasetError({
        code: "E_EMPTY",
        where: dataset.name,
        message:
          numRows === 0
            ? "the data set has no rows, so there is no batch."
            : `its ${numRows} rows do not fill one batch of ${batchSize}, and dropLast leaves it out.`,
        fix:
          numRows === 0
            ? "Check the file that it came from, or the filter before."
            : "Use a smaller batchSize, or dropLast: false.",
        detail: { numRows, batchSize },
      });
    }
    this.dataset = dataset;
    this.batchSize = batchSize;
    this.dropLast = options.dropLast ?? false;
    this.sampler =
      options.sampler ??
      (options.shuffle ? new RandomSampler(numRows, options.seed) : new SequentialSampler(numRows));
    this.#collateFn = options.collateFn;
  }

  /** Batches of a whole epoch. */
  get length(): number {
    const batches = this.sampler.length / this.batchSize;
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** Begins this epoch: the order depends on it and the seed alone. */
  setEpoch(epoch: number): void {
    this.sampler.setEpoch(epoch);
  }

  /** Where it stands: the batch in hand counts as handed out. Save it with a checkpoint. */
  state(): SamplerState {
    return this.sampler.state();
  }

  /** Goes back to where a state was taken: the next iteration begins with the batch after it. */
  loadState(state: SamplerState): void {
    this.sampler.loadState(state);
  }

  *[Symbol.iterator](): IterableIterator<B> {
    let indices: number[] = [];
    for (const index of this.sampler) {
      indices.push(index);
      const isFull = indices.length === this.batchSize;
      const isLast = this.sampler.state().position === this.sampler.length;
      if (isFull || (isLast && !this.dropLast)) {
        yield this.#collate(indices);
        indices = [];
      }
    }
  }

  #collate(indices: readonly number[]): B {
    if (this.#collateFn !== undefined) return this.#collateFn(this.dataset.rows(indices));
    return this.dataset.batch(indices) as B;
  }
}
