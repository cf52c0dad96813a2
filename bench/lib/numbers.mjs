// Seeded numbers, and .bin files of them, so that every library reads the same inputs. Little-endian f32 or i32.
import { readFileSync, writeFileSync } from "node:fs";

/** A generator of uniform numbers in (0, 1): mulberry32, 32 bits of state. */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return (((bits ^ (bits >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

/** `count` normally distributed f32 numbers (Box and Muller 1958). */
export function normal(count, seed, { mean = 0, std = 1 } = {}) {
  const next = uniform(seed);
  const numbers = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(next()));
    const angle = 2 * Math.PI * next();
    numbers[i] = mean + radius * Math.cos(angle);
    if (i + 1 < count) numbers[i + 1] = mean + radius * Math.sin(angle);
  }
  return numbers;
}

/** `count` i32 numbers in [from, below). */
export function integers(count, seed, from, below) {
  const next = uniform(seed);
  return Int32Array.from({ length: count }, () => from + Math.floor(next() * (below - from)));
}

/** Number of elements of a shape. */
export const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** Writes a typed array as it lies in memory. */
export function writeNumbers(file, numbers) {
  writeFileSync(file, new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
}

/** Reads a file of `writeNumbers`. */
export function readNumbers(file, type = "f32") {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  return type === "i32" ? new Int32Array(bytes) : new Float32Array(bytes);
}

/** Largest absolute difference, and the largest absolute value of either; NaN in one makes the difference NaN. */
export function compare(a, b) {
  if (a.length !== b.length) throw new Error(`results of ${a.length} and ${b.length} numbers are compared`);
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    if (!(d <= difference)) difference = d;
    if (Number.isNaN(d)) break;
    largest = Math.max(largest, Math.abs(a[i]), Math.abs(b[i]));
  }
  return { difference, largest };
}
