import type { Dtype } from "../../dtype.js";
import type { Shape } from "../../shape.js";
import type { Reduction } from "./index.js";

/** One line of the table. */
export interface CrossEntropyCase {
  readonly name: string;
  /** Of the logits: `[N, C]` or `[N, C, d…]`. */
  readonly shape: Shape;
  /** Default "mean". */
  readonly reduction?: Reduction;
  /** Default f32. */
  readonly dtype?: Dtype;
  /** Every class has a weight of its own. */
  readonly weighted?: boolean;
  /** Every third row has this target, which is ignored. */
  readonly ignoreIndex?: number;
  readonly labelSmoothing?: number;
  /** The target holds probabilities. */
  readonly soft?: boolean;
  /** Logits lie in [-scale, scale); default 4. */
  readonly scale?: number;
  /** As `nllLoss`. */
  readonly nll?: boolean;
}

/** f32: roundings of logits, of a logarithm and of a sum. f16: one rounding of the result. */
export function tolerance({ dtype = "f32", scale = 4 }: CrossEntropyCase): { rtol: number; atol: number } {
  return dtype === "f16"
    ? { rtol: 2 ** -9, atol: 2 ** -10 }
    : { rtol: 4e-6, atol: 1e-6 * Math.max(scale, 4) };
}

export const cases: readonly CrossEntropyCase[] = [
  { name: "two classes", shape: [16, 2] },
  { name: "one row, one class", shape: [1, 1] },
  { name: "sum", shape: [65, 7], reduction: "sum" },
  { name: "a loss for each row", shape: [63, 5], reduction: "none" },
  { name: "positions behind the classes", shape: [3, 5, 7] },
  { name: "positions in two dimensions", shape: [2, 4, 3, 5], reduction: "none", weighted: true },
  { name: "ignored rows", shape: [64, 6], ignoreIndex: -100 },
  { name: "ignored class", shape: [20, 6], ignoreIndex: 2, weighted: true },
  { name: "label smoothing", shape: [9, 10], labelSmoothing: 0.1 },
  {
    name: "smoothing, weights and ignored rows",
    shape: [9, 10],
    labelSmoothing: 0.2,
    weighted: true,
    ignoreIndex: 3,
  },
  { name: "probabilities", shape: [8, 6], soft: true },
  {
    name: "probabilities, weighted and smoothed",
    shape: [4, 6, 3],
    soft: true,
    weighted: true,
    labelSmoothing: 0.3,
  },
  { name: "a vocabulary", shape: [5, 3001], ignoreIndex: -100 },
  { name: "large logits", shape: [6, 30], scale: 1e4 },
  { name: "no rows", shape: [0, 3], reduction: "sum" },
  { name: "negative log likelihood", shape: [12, 5], nll: true, weighted: true, ignoreIndex: 1 },
  { name: "f16", shape: [12, 33], dtype: "f16", labelSmoothing: 0.1 },
];
