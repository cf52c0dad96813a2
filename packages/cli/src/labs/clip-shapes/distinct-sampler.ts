import { permutation, Sampler } from "@wgrad/datasets";

/** What {@link DistinctSampler} is told of its rows. */
export interface DistinctRows {
  /** Of each row: no full batch has two rows of one key. */
  keys: ArrayLike<number>;
  /** Of each row a number from 0 on, of which most batches have a few values only: a third of them. */
  places: ArrayLike<number>;
}

/** Parts that the places are dealt into. */
const PARTS = 3;
/** First stream of the deals; streams below it are those of the epochs. */
const DEALS = 0x80000000;

/**
 * A random order in which no full batch has two rows of one key. The contrastive loss counts every other caption of a batch as wrong
 * for a picture: where one comes twice, the model would be taught to tell apart what is the same. Targets that share the truth among
 * equal captions would be the other way; without repetitions the loss stays CLIP's own.
 *
 * Rows go in rounds with one row of each key, so that all keys are seen equally often; a row that would repeat a key of the batch
 * in hand, where two rounds meet, waits for the next batch. Within a round a third of the places comes first, then another, dealt
 * anew each time: pictures that lie in the same place have to be told apart by what they show. In batches of any places most
 * are, by place, size and colour, without a look at the form. The order depends on seed and epoch alone.
 */
export class DistinctSampler extends Sampler {
  readonly #rows: DistinctRows;
  readonly #batchSize: number;
  readonly #seed: number;

  /** @param batchSize at most half as many as there are keys */
  constructor(rows: DistinctRows, batchSize: number, seed: number) {
    super(rows.keys.length);
    this.#rows = rows;
    this.#batchSize = batchSize;
    this.#seed = seed;
  }

  protected override order(epoch: number): number[] {
    const { keys } = this.#rows;
    const out: number[] = [];
    let batch = new Set<number>();
    let waiting: number[] = [];
    const put = (row: number) => {
      batch.add(keys[row]!);
      out.push(row);
      if (batch.size < this.#batchSize) return;
      batch = new Set();
      const before = waiting;
      waiting = [];
      for (const other of before) offer(other);
    };
    const offer = (row: number) => {
      if (batch.has(keys[row]!)) waiting.push(row);
      else put(row);
    };
    for (const row of this.#inRounds(epoch)) offer(row);
    return [...out, ...waiting];
  }

  /** A random order, the first row of each key before the second of any; by places within. */
  #inRounds(epoch: number): number[] {
    const { keys, places } = this.#rows;
    const rounds: number[][] = [];
    const seen = new Map<number, number>();
    for (const row of permutation(this.length, this.#seed, epoch)) {
      const key = keys[row]!;
      const round = seen.get(key) ?? 0;
      seen.set(key, round + 1);
      rounds[round] ??= [];
      rounds[round].push(row);
    }
    const count = Array.from(places).reduce((most, place) => Math.max(most, place + 1), 0);
    return rounds.flatMap((rows, round) => {
      const dealt = permutation(count, this.#seed, DEALS + epoch * 4096 + round);
      const part = (row: number) => Math.floor((dealt[places[row]!]! * PARTS) / count);
      return rows.sort((a, b) => part(a) - part(b));
    });
  }
}
