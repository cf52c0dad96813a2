/** Uniform numbers from a seed. Source: Marsaglia 2003, xorshift; the seed is spread by a step of SplitMix32. */
export class Random {
  #state: number;

  constructor(seed: number) {
    let z = (seed + 0x9e3779b9) | 0;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    this.#state = (z ^ (z >>> 15)) >>> 0 || 1;
  }

  /** A whole number from 0 to before `end`. */
  below(end: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % end;
  }

  /** Puts the first `count` values in a random order. */
  shuffle(values: Int32Array, count = values.length): void {
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const value = values[i]!;
      values[i] = values[j]!;
      values[j] = value;
    }
  }
}
