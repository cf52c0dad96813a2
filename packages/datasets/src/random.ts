const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/**
 * Philox4x32-10: the block of four random words at `counter` under `key`.
 * Counter-based, so any position of any stream can be computed without the ones before it.
 * Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
 * @param counter four 32-bit words  @param key two 32-bit words  @returns four 32-bit words, unsigned
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(M0, c0);
    const high1 = multiplyHigh(M1, c2);
    const low0 = Math.imul(M0, c0);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0];
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit words. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) | 0;
}

/**
 * A stream of random numbers: Philox4x32-10 under the key `seed` (its low and high 32 bits), one counter block after
 * another; `stream` numbers independent streams of one seed (an epoch, for instance).
 */
export class Generator {
  readonly #key: [number, number];
  readonly #stream: number;
  #block = 0;
  #words: number[] = [];

  constructor(seed: number, stream = 0) {
    this.#key = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
    this.#stream = stream >>> 0;
  }

  /** The next unsigned 32-bit word. */
  nextUint32(): number {
    if (this.#words.length === 0) {
      const block = philox4x32([this.#block++, 0, this.#stream, 0], this.#key);
      this.#words = block.reverse();
    }
    return this.#words.pop()!;
  }

  /** A whole number from 0 to `bound` - 1, each equally likely (words that would favour some are thrown away). */
  nextBelow(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const word = this.nextUint32();
      if (word < limit) return word % bound;
    }
  }

  /** A number in [0, 1) with 32 random bits. */
  nextFloat(): number {
    return this.nextUint32() / 2 ** 32;
  }
}

/** The numbers 0 … n - 1 in an order that depends on `seed` and `stream` alone (Fisher-Yates over {@link Generator}). */
export function permutation(n: number, seed: number, stream = 0): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  return shuffleInPlace(order, new Generator(seed, stream));
}

/** Fisher-Yates, from the last place to the first. */
export function shuffleInPlace(order: Uint32Array, generator: Generator): Uint32Array {
  for (let i = order.length - 1; i > 0; i--) {
    const j = generator.nextBelow(i + 1);
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}

/** The numbers `from` … `to` - 1. */
export function range(from: number, to: number): Uint32Array {
  return Uint32Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}

/**
 * Random numbers in [0, 1) for one row of one epoch: Philox4x32-10 under the key `seed`, counter = (block, row, epoch, 1). They depend
 * on nothing else, and no permutation or other stream of the same seed has them.
 */
export function sampleRandom(seed: number, epoch: number, row: number): () => number {
  const key: [number, number] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  let block = 0;
  let words: number[] = [];
  return () => {
    if (words.length === 0) words = philox4x32([block++, row >>> 0, epoch >>> 0, 1], key).reverse();
    return words.pop()! / 2 ** 32;
  };
}
