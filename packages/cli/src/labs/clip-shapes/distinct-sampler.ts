import { permutation, Sampler } from "@wgrad/datasets";

/**
 * A random order in which no full batch has two rows of one key. The contrastive loss counts every other caption of a batch as wrong
 * for a picture: where one comes twice, the model would be taught to tell apart what is the same. Targets that share the truth among
 * equal captions would be the other way; without repetitions the loss stays CLIP's own.
 *
 * Rows go in rounds with one row of each key, so that all keys are seen equally often; a row that would repeat a key of the batch
 * in hand, where two rounds meet, waits for the next batch. The order depends on seed and epoch alone.
 *
 * What did not help: batches whose pictures lie in a third of the places, so that they have to be told apart by form. Of pictures of
 * seen combinations 96% had the right form instead of 91%, but of held-out ones 60% were right in everything instead of 74% (one run each).
 */
export class DistinctSampler extends Sampler {
  readonly #keys: ArrayLike<number>;
  readonly #batchSize: number;
  readonly #seed: number;

  /**
   * @param keys of each row
   * @param batchSize at most half as many as there are keys
   */
  constructor(keys: ArrayLike<number>, batchSize: number, seed: number) {
    super(keys.length);
    this.#keys = keys;
    this.#batchSize = batchSize;
    this.#seed = seed;
  }

  protected override order(epoch: number): number[] {
    const out: number[] = [];
    let batch = new Set<number>();
    let waiting: number[] = [];
    const put = (row: number) => {
      batch.add(this.#keys[row]!);
      out.push(row);
      if (batch.size < this.#batchSize) return;
      batch = new Set();
      const before = waiting;
      waiting = [];
      for (const other of before) offer(other);
    };
    const offer = (row: number) => {
      if (batch.has(this.#keys[row]!)) waiting.push(row);
      else put(row);
    };
    for (const row of this.#inRounds(epoch)) offer(row);
    return [...out, ...waiting];
  }

  /** A random order, the first row of each key before the second of any. */
  #inRounds(epoch: number): number[] {
    const rounds: number[][] = [];
    const seen = new Map<number, number>();
    for (const row of permutation(this.length, this.#seed, epoch)) {
      const key = this.#keys[row]!;
      const round = seen.get(key) ?? 0;
      seen.set(key, round + 1);
      rounds[round] ??= [];
      rounds[round].push(row);
    }
    return rounds.flat();
  }
}
