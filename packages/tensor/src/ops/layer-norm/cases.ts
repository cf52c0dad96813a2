import type { Dtype } from "../../dtype.js";
import type { Shape } from "../../shape.js";

/** One line of the table that test and benchmark share. */
export interface LayerNormCase {
  readonly name: string;
  readonly shape: Shape;
  readonly normalizedShape: Shape;
  /** Default f32. */
  readonly dtype?: Dtype;
  /** Type of weight and bias; default that of x. */
  readonly affineDtype?: Dtype;
  /** Default both. */
  readonly affine?: "both" | "weight" | "bias" | "none";
  /** Default 1e-5. */
  readonly eps?: number;
  /** Elements lie in [mean - scale, mean + scale); defaults 0 and 1. */
  readonly mean?: number;
  readonly scale?: number;
  /** Factor of the tolerance, where rounding of the mean is magnified. */
  readonly slack?: number;
}

/**
 * y is about 1; dx about 1 / standard deviation, which is what the absolute part is a multiple of. f32: some roundings of
 * sums of up to 1,024 terms. f16: one rounding of the stored result.
 */
export function tolerance({ dtype = "f32", slack = 1 }: LayerNormCase): { rtol: number; atol: number } {
  return dtype === "f16" ? { rtol: 2 ** -9, atol: 2 ** -8 } : { rtol: 1e-5, atol: 4e-6 * slack };
}

export const cases: readonly LayerNormCase[] = [
  { name: "rows of 1", shape: [5, 1], normalizedShape: [1] },
  { name: "rows of 7", shape: [3, 7], normalizedShape: [7] },
  { name: "one less than a workgroup", shape: [5, 63], normalizedShape: [63] },
  { name: "a workgroup", shape: [65, 64], normalizedShape: [64] },
  { name: "one more than a workgroup", shape: [5, 65], normalizedShape: [65] },
  { name: "384", shape: [2, 9, 384], normalizedShape: [384], eps: 1e-12 },
  { name: "768", shape: [70, 768], normalizedShape: [768], eps: 1e-12 },
  { name: "no multiple of four", shape: [7, 333], normalizedShape: [333] },
  { name: "two dimensions", shape: [6, 4, 10], normalizedShape: [4, 10] },
  { name: "one row", shape: [48], normalizedShape: [48] },
  { name: "without weight and bias", shape: [7, 20], normalizedShape: [20], affine: "none" },
  { name: "weight only", shape: [7, 20], normalizedShape: [20], affine: "weight" },
  { name: "bias only", shape: [7, 21], normalizedShape: [21], affine: "bias" },
  { name: "no rows", shape: [0, 8], normalizedShape: [8] },
  { name: "rows of nothing", shape: [3, 0], normalizedShape: [0] },
  // The mean itself is rounded to 0.001, and so is each sum on the way to it.
  { name: "mean 1e4", shape: [4, 64], normalizedShape: [64], mean: 1e4, scale: 2, slack: 1500 },
  // 512 * 64 is exact in f32, so that the variance is exactly 0 and 1 / sqrt(eps) = 1e6 has nothing to magnify.
  {
    name: "constant rows",
    shape: [4, 64],
    normalizedShape: [64],
    mean: 512,
    scale: 0,
    eps: 1e-12,
    slack: 1e6,
  },
  { name: "f16", shape: [9, 128], normalizedShape: [128], dtype: "f16" },
  { name: "f16 under f32 weights", shape: [9, 77], normalizedShape: [77], dtype: "f16", affineDtype: "f32" },
];

/** Sizes of the benchmark. */
export const benchCases: readonly LayerNormCase[] = [
  { name: "1024x384", shape: [1024, 384], normalizedShape: [384] },
  { name: "1024x768", shape: [1024, 768], normalizedShape: [768] },
  { name: "1024x1024", shape: [1024, 1024], normalizedShape: [1024] },
];
