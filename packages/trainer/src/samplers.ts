import { permutation, Sampler } from "@wgrad/datasets";

/**
 * Shuffles so that examples of similar length are in the same batch, and less is padded: a permutation cut into megabatches, each
 * sorted by length, the longest example of all first (a step that needs too much memory fails at once). As
 * `transformers.trainer_pt_utils.LengthGroupedSampler`; the order depends on the seed and the epoch alone.
 */
export class LengthGroupedSampler extends Sampler {
  readonly #lengths: ArrayLike<number>;
  readonly #batchSize: number;
  readonly #seed: number;

  /**
   * @param lengths tokens of each example
   * @param batchSize examples that should be alike: those of an optimizer step
   */
  constructor(lengths: ArrayLike<number>, batchSize: number, seed: number) {
    super(lengths.length);
    this.#lengths = lengths;
    this.#batchSize = batchSize;
    this.#seed = seed;
  }

  protected override order(epoch: number): number[] {
    const lengths = this.#lengths;
    const order = [...permutation(lengths.length, this.#seed, epoch)];
    const multiple = Math.max(1, Math.min(Math.floor(lengths.length / (this.#batchSize * 4)), 50));
    const size = multiple * this.#batchSize;
    const megabatches: number[][] = [];
    for (let at = 0; at < order.length; at += size)
      megabatches.push(order.slice(at, at + size).sort((a, b) => lengths[b]! - lengths[a]!));
    if (megabatches.length === 0) return [];
    const longest = megabatches.reduce(
      (best, batch, i) => (lengths[batch[0]!]! > lengths[megabatches[best]![0]!]! ? i : best),
      0,
    );
    const [first, other] = [megabatches[0]!, megabatches[longest]!];
    [first[0], other[0]] = [other[0]!, first[0]!];
    return megabatches.flat();
  }
}

/** The longest examples first, every epoch: for evaluation, where little is to be padded and the order does not matter. */
export class LengthSortedSampler extends Sampler {
  readonly #lengths: ArrayLike<number>;

  constructor(lengths: ArrayLike<number>) {
    super(lengths.length);
    this.#lengths = lengths;
  }

  protected override order(): number[] {
    const lengths = this.#lengths;
    return Array.from({ length: this.length }, (_, i) => i).sort(
      (a, b) => lengths[b]! - lengths[a]! || a - b,
    );
  }
}
