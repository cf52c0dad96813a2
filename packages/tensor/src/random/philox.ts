/** Four 32-bit words. */
export type Words4 = [number, number, number, number];

/** High word of the 64-bit product of two 32-bit words, by 16-bit halves as in `philox.wgsl`. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const cross = a1 * b0 + (Math.imul(a0, b0) >>> 16);
  const middle = a0 * b1 + (cross & 0xffff);
  return a1 * b1 + Math.floor(cross / 0x10000) + Math.floor(middle / 0x10000);
}

/**
 * Philox4x32-10: one block of four random words from a counter and a key; the same as `philox4x32` in `philox.wgsl`.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): Words4 {
  let [x, y, z, w] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const nextX = (mulHigh(0xcd9e8d57, z) ^ y ^ k0) >>> 0;
    const nextZ = (mulHigh(0xd2511f53, x) ^ w ^ k1) >>> 0;
    y = Math.imul(0xcd9e8d57, z) >>> 0;
    w = Math.imul(0xd2511f53, x) >>> 0;
    x = nextX;
    z = nextZ;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [x, y, z, w];
}

/** A number in [0, 1) from the upper 24 bits of a word; exact in f32 and equal to `uniform4` in `philox.wgsl`. */
export function uniformOf(word: number): number {
  return (word >>> 8) / 0x1000000;
}

/** A whole number in [0, range) from a word, by the high half of their product. The bias is below range / 2^32. */
export function belowOf(word: number, range: number): number {
  return mulHigh(word, range);
}
