import type { Dtype } from "../../dtype.js";
import type { Shape } from "../../shape.js";

/** One line of the table that test and benchmark share. */
export interface SoftmaxCase {
  readonly name: string;
  readonly shape: Shape;
  readonly dim: number;
  /** Default f32. */
  readonly dtype?: Dtype;
  /** Logits lie in [-scale, scale); default 4. */
  readonly scale?: number;
  /** Elements that are -inf: some of each row, or the whole first row too. */
  readonly masked?: "some" | "row";
  /** The rows are cut out of a tensor with one row more, so that they begin in the middle of a group of four. */
  readonly offset?: boolean;
}

/**
 * f32: an element is off by the rounding of its exponent (|x - max| 2^-24) and of a sum of up to 5,000 terms.
 * f16: one rounding of the result to 11 bits, and of the result that backward reads.
 */
export function tolerance(dtype: Dtype): { rtol: number; atol: number } {
  return dtype === "f16" ? { rtol: 2 ** -9, atol: 2 ** -10 } : { rtol: 4e-6, atol: 2e-6 };
}

export const cases: readonly SoftmaxCase[] = [
  { name: "a row of 1", shape: [4, 1], dim: -1 },
  { name: "one row of 7", shape: [7], dim: 0 },
  { name: "one less than a workgroup", shape: [5, 63], dim: -1 },
  { name: "a workgroup", shape: [65, 64], dim: -1 },
  { name: "one more than a workgroup", shape: [5, 65], dim: -1 },
  { name: "attention scores", shape: [2, 3, 16, 128], dim: -1 },
  { name: "384", shape: [3, 384], dim: -1 },
  { name: "768", shape: [3, 768], dim: -1 },
  { name: "no multiple of four", shape: [7, 333], dim: -1 },
  { name: "a long row", shape: [2, 5000], dim: -1 },
  { name: "along the first dim", shape: [9, 7], dim: 0 },
  { name: "along a middle dim", shape: [3, 66, 8], dim: 1 },
  { name: "in the middle of its storage", shape: [3, 333], dim: -1, offset: true },
  { name: "no rows", shape: [0, 5], dim: -1 },
  { name: "rows of nothing", shape: [5, 0], dim: -1 },
  { name: "0-d", shape: [], dim: 0 },
  { name: "large logits", shape: [4, 130], dim: -1, scale: 1e4 },
  { name: "equal logits", shape: [3, 100], dim: -1, scale: 0 },
  { name: "-inf in rows", shape: [6, 72], dim: -1, masked: "some" },
  { name: "a row of -inf", shape: [6, 66], dim: -1, masked: "row" },
  { name: "f16", shape: [9, 128], dim: -1, dtype: "f16" },
  { name: "f16, no multiple of four", shape: [9, 77], dim: -1, dtype: "f16", scale: 100 },
];

/** Sizes of the benchmark: attention scores, and a wide row. */
export const benchCases: readonly SoftmaxCase[] = [
  { name: "1536x128", shape: [1536, 128], dim: -1 },
  { name: "1024x1024", shape: [1024, 1024], dim: -1 },
];
