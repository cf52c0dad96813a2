import type { Sampler, SamplerState } from "@wgrad/datasets";
import type { AnyDataCollator, CollatedBatch, Example } from "./data-collator.js";
import { TrainerError } from "./errors.js";

/** What a trainer needs of a data set: `Dataset` of `@wgrad/datasets`, or an object of one's own. */
export interface TrainerDataset<E extends object = object> {
  /** Examples. */
  readonly numRows: number;
  /** One example. */
  at(index: number): E;
  /** Several, in the order asked for. */
  rows(indices: number[]): readonly E[];
}

/** Options of `BatchQueue`. */
export interface BatchQueueOptions {
  batchSize: number;
  /** Leave out a last batch that is not full. */
  dropLast: boolean;
  /** Batches that are collated before they are asked for. */
  ahead: number;
  /** Whether random choices of the collator are to be new each epoch. */
  training: boolean;
}

/** A batch with the rows it is made of. */
export interface QueuedBatch {
  readonly batch: CollatedBatch;
  readonly indices: readonly number[];
}

interface Pending {
  readonly batch: CollatedBatch | Promise<CollatedBatch>;
  readonly indices: readonly number[];
  /** Rows of the epoch handed out once this batch is. */
  readonly position: number;
}

/**
 * The batches of an epoch in the order of a sampler, some of them collated ahead. Its state counts what was handed out, not what
 * was collated, so that a resumed run goes on with the same batch.
 */
export class BatchQueue {
  readonly sampler: Sampler;
  readonly #dataset: TrainerDataset;
  readonly #collate: AnyDataCollator;
  readonly #options: BatchQueueOptions;
  #rows: Iterator<number> | null = null;
  #pending: Pending[] = [];
  #state: SamplerState = { epoch: 0, position: 0 };
  /** Rows taken from the sampler. */
  #taken = 0;

  /** @throws TrainerError `E_DATA` if there is no batch */
  constructor(
    dataset: TrainerDataset,
    sampler: Sampler,
    collate: AnyDataCollator,
    options: BatchQueueOptions,
  ) {
    this.#dataset = dataset;
    this.sampler = sampler;
    this.#collate = collate;
    this.#options = options;
    if (this.length === 0) {
      const why = options.dropLast
        ? `its ${sampler.length} rows do not fill a batch of ${options.batchSize}, and dataloaderDropLast leaves it out`
        : "it has no rows";
      throw new TrainerError("E_DATA", `there is no batch in the data set: ${why}.`);
    }
  }

  /** Batches of a whole epoch. */
  get length(): number {
    return this.#batches(this.sampler.length);
  }

  /** Batches of this epoch that were not handed out yet. */
  get remaining(): number {
    return this.#batches(this.sampler.length - this.#state.position);
  }

  /** Where it stands, for a checkpoint. */
  get state(): SamplerState {
    return { ...this.#state };
  }

  /** Goes back to where a state was taken. */
  load(state: SamplerState): void {
    this.sampler.loadState(state);
    this.#state = { ...state };
    this.#drop();
  }

  /** Begins an epoch; the one that a loaded state is in the middle of goes on. */
  begin(epoch: number): void {
    if (epoch !== this.#state.epoch) this.#state = { epoch, position: 0 };
    this.#drop();
    this.sampler.setEpoch(epoch);
  }

  /** The epoch counts as complete: a run that is resumed begins with the next one. */
  end(): void {
    this.#state = { epoch: this.#state.epoch + 1, position: 0 };
    this.#drop();
  }

  /** The next batch. Call it while `remaining` is over 0. */
  async next(): Promise<QueuedBatch> {
    if (this.#pending.length === 0) this.#prepare();
    const first = this.#pending.shift();
    if (!first) throw new TrainerError("E_DATA", "the sampler gave fewer rows than its length says.");
    const batch = await first.batch;
    this.#state = { ...this.#state, position: first.position };
    return { batch, indices: first.indices };
  }

  /** Collates batches ahead. */
  fill(): void {
    while (this.#pending.length < this.#options.ahead && this.#prepare());
  }

  #batches(rows: number): number {
    const batches = rows / this.#options.batchSize;
    return this.#options.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  #drop(): void {
    this.#rows = null;
    this.#pending = [];
  }

  /** Collates one more batch; false if there is none. */
  #prepare(): boolean {
    if (!this.#rows) {
      this.#rows = this.sampler[Symbol.iterator]();
      this.#taken = this.#state.position;
    }
    const { batchSize, dropLast, training } = this.#options;
    const indices: number[] = [];
    while (indices.length < batchSize) {
      const next = this.#rows.next();
      if (next.done) break;
      indices.push(next.value);
    }
    if (indices.length === 0 || (dropLast && indices.length < batchSize)) return false;
    this.#taken += indices.length;
    const { epoch } = this.#state;
    const batch = this.#collate(this.#dataset.rows(indices), { indices, epoch, training });
    // A failure is reported when the batch is asked for.
    if (batch instanceof Promise) batch.catch(() => {});
    this.#pending.push({ batch, indices, position: this.#taken });
    return true;
  }
}

/** Whether the examples of a data set are tokenized texts, whose lengths differ. */
export function hasTokens(dataset: TrainerDataset): boolean {
  return dataset.numRows > 0 && (dataset.at(0) as Partial<Example>).inputIds !== undefined;
}

const lengthsOf = new WeakMap<object, { column: string | null; lengths: Uint32Array }>();

/**
 * Tokens of each example.
 * @param column where a column of this name holds them, it is taken
 */
export function exampleLengths(dataset: TrainerDataset, column: string | null = null): Uint32Array {
  const known = lengthsOf.get(dataset);
  if (known && known.column === column && known.lengths.length === dataset.numRows) return known.lengths;
  const lengths = Uint32Array.from({ length: dataset.numRows }, (_, i) => {
    const example = dataset.at(i) as Partial<Example> & Record<string, unknown>;
    const given = column === null ? undefined : example[column];
    return typeof given === "number" || typeof given === "bigint"
      ? Number(given)
      : (example.inputIds?.length ?? 0);
  });
  lengthsOf.set(dataset, { column, lengths });
  return lengths;
}
