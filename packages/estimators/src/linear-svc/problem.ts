import type { DenseMatrix } from "../matrix.js";

/** One class against the rest. The intercept is the weight of one more feature, of value `bias` in every example. */
export interface BinaryProblem {
  readonly matrix: DenseMatrix;
  /** [N]: 1 or −1 */
  readonly y: Int8Array;
  /** [N]: C times the weight of the example's class */
  readonly costs: Float64Array;
  /** 0 for no intercept. */
  readonly bias: number;
  readonly tol: number;
  readonly maxIter: number;
}

/** What was learnt. */
export interface BinarySolution {
  /** [D + 1], the intercept's weight last */
  readonly w: Float64Array;
  readonly iterations: number;
  readonly converged: boolean;
}
