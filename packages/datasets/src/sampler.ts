import { badArgument, checkSeed, DatasetError } from "./errors.js";
import { permutation } from "./random.js";

/** Where a sampler stands: plain JSON, to be saved with a checkpoint. */
export interface SamplerState {
  /** The epoch, counted from 0. */
  epoch: number;
  /** Rows of that epoch that have been handed out. */
  position: number;
}

/**
 * Which rows come in which order. Iterating hands out one epoch and, once it is complete, moves on to the next.
 * After {@link Sampler.loadState} the next iteration goes on exactly where the state was taken.
 */
export abstract class Sampler implements Iterable<number> {
  /** Rows of an epoch. */
  readonly length: number;
  #epoch = 0;
  #position = 0;
  #isResuming = false;

  constructor(numRows: number) {
    this.length = numRows;
  }

  /** The order of an epoch: row numbers, each once. */
  protected abstract order(epoch: number): ArrayLike<number>;

  get epoch(): number {
    return this.#epoch;
  }

  /** Begins an epoch from its start; naming the one that a loaded state is in the middle of changes nothing. */
  setEpoch(epoch: number): void {
    if (!Number.isInteger(epoch) || epoch < 0)
      throw badArgument("setEpoch", "epoch", epoch, "a whole number from 0");
    if (epoch === this.#epoch && this.#isResuming) return;
    this.#epoch = epoch;
    this.#position = 0;
    this.#isResuming = false;
  }

  /** Where it stands. */
  state(): SamplerState {
    return { epoch: this.#epoch, position: this.#position };
  }

  /** Goes back to where a state was taken. @throws DatasetError E_ARGUMENT if it belongs to another data set */
  loadState(state: SamplerState): void {
    const isWhole = Number.isInteger(state.epoch) && Number.isInteger(state.position);
    if (!isWhole || state.epoch < 0 || state.position < 0 || state.position > this.length) {
      throw new DatasetError({
        code: "E_ARGUMENT",
        where: "Sampler.loadState",
        message: `the state says epoch ${state.epoch}, row ${state.position}; this data set has ${this.length} rows.`,
        fix: "Resume with the data set that the state was saved with.",
        detail: { state, length: this.length },
      });
    }
    this.#epoch = state.epoch;
    this.#position = state.position;
    this.#isResuming = true;
  }

  *[Symbol.iterator](): IterableIterator<number> {
    const order = this.order(this.#epoch);
    const start = this.#isResuming ? this.#position : 0;
    this.#isResuming = false;
    this.#position = start;
    for (let i = start; i < order.length; i++) {
      this.#position = i + 1;
      yield order[i]!;
    }
    this.#epoch++;
    this.#position = 0;
  }
}

/** Rows in their own order. */
export class SequentialSampler extends Sampler {
  protected override order(): Uint32Array {
    return Uint32Array.from({ length: this.length }, (_, i) => i);
  }
}

/** Rows in an order drawn anew each epoch, which depends on `seed` and the epoch alone. */
export class RandomSampler extends Sampler {
  readonly seed: number;
  constructor(numRows: number, seed = 0) {
    super(numRows);
    this.seed = checkSeed("RandomSampler", seed);
  }
  protected override order(epoch: number): Uint32Array {
    return permutation(this.length, this.seed, epoch);
  }
}
