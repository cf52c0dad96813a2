/**
 * Sequential minimal optimisation of a support vector machine for two classes.
 * Source: Fan, Chen and Lin 2005, working set selection 2 (the one of LIBSVM).
 */
import type { KernelCache } from "./kernel.js";

/** The dual of C-SVC: minimise ½ αᵀQα − Σα with 0 ≤ α ≤ costs and y·α = 0, where Q[s, t] = y[s] y[t] k(s, t). */
export interface DualProblem {
  readonly kernel: KernelCache;
  /** [N]: k(x, x) */
  readonly diagonal: Float64Array;
  /** [N]: 1 or −1 */
  readonly y: Int8Array;
  /** [N] */
  readonly costs: Float64Array;
  readonly tol: number;
  /** −1 for no limit. */
  readonly maxIter: number;
}

/** Its solution: decide by Σ α y k(x, ·) − rho. */
export interface DualSolution {
  readonly alpha: Float64Array;
  readonly rho: number;
  readonly iterations: number;
  readonly converged: boolean;
}

/** Stands for a curvature that is not over 0, as of two examples that are the same. */
const TAU = 1e-12;

/** Solves it until no pair of examples violates the optimality conditions by `tol`. */
export function solveSmo(problem: DualProblem): DualSolution {
  const { kernel, diagonal, y, costs, tol, maxIter } = problem;
  const n = y.length;
  const alpha = new Float64Array(n);
  const gradient = new Float64Array(n).fill(-1);
  const limit = maxIter === -1 ? Number.POSITIVE_INFINITY : maxIter;
  let iterations = 0;
  let converged = false;
  for (;;) {
    const i = mostViolating(alpha, gradient, y, costs);
    if (i < 0) {
      converged = true;
      break;
    }
    const rowI = kernel.row(i);
    const most = -y[i]! * gradient[i]!;
    // The partner with which the objective falls most, by its second-order model.
    let j = -1;
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let t = 0; t < n; t++) {
      const canFall = y[t]! > 0 ? alpha[t]! > 0 : alpha[t]! < costs[t]!;
      if (!canFall) continue;
      const value = -y[t]! * gradient[t]!;
      if (value < least) least = value;
      const gain = most - value;
      if (gain <= 0) continue;
      const curvature = diagonal[i]! + diagonal[t]! - 2 * rowI[t]!;
      const decrease = (gain * gain) / (curvature > 0 ? curvature : TAU);
      if (decrease > best) {
        best = decrease;
        j = t;
      }
    }
    if (most - least < tol || j < 0) {
      converged = true;
      break;
    }
    if (iterations >= limit) break;
    iterations++;
    const rowJ = kernel.row(j);
    const beforeI = alpha[i]!;
    const beforeJ = alpha[j]!;
    updatePair(problem, alpha, gradient, i, j, rowI[j]!);
    const byI = (alpha[i]! - beforeI) * y[i]!;
    const byJ = (alpha[j]! - beforeJ) * y[j]!;
    for (let t = 0; t < n; t++) gradient[t]! += y[t]! * (byI * rowI[t]! + byJ * rowJ[t]!);
  }
  return { alpha, rho: rhoOf(alpha, gradient, y, costs), iterations, converged };
}

/** The example that can rise and whose −y·gradient is largest; −1 if none can. */
function mostViolating(
  alpha: Float64Array,
  gradient: Float64Array,
  y: Int8Array,
  costs: Float64Array,
): number {
  let most = Number.NEGATIVE_INFINITY;
  let at = -1;
  for (let t = 0; t < y.length; t++) {
    const canRise = y[t]! > 0 ? alpha[t]! < costs[t]! : alpha[t]! > 0;
    if (!canRise) continue;
    const value = -y[t]! * gradient[t]!;
    if (value >= most) {
      most = value;
      at = t;
    }
  }
  return at;
}

/** Moves α of two examples to the best of their line inside the box; y·α stays 0. */
function updatePair(
  { diagonal, y, costs }: DualProblem,
  alpha: Float64Array,
  gradient: Float64Array,
  i: number,
  j: number,
  kernelIJ: number,
): void {
  const curvature = diagonal[i]! + diagonal[j]! - 2 * kernelIJ;
  // α[i] + s·α[j] is what may not change.
  const s = y[i]! * y[j]!;
  const sum = alpha[i]! + s * alpha[j]!;
  const step = (-gradient[i]! + s * gradient[j]!) / (curvature > 0 ? curvature : TAU);
  const [low, high] =
    s > 0
      ? [Math.max(0, sum - costs[j]!), Math.min(costs[i]!, sum)]
      : [Math.max(0, sum), Math.min(costs[i]!, sum + costs[j]!)];
  const next = Math.min(Math.max(alpha[i]! + step, low), high);
  alpha[i] = next;
  // At a bound exactly, so that it counts as one.
  alpha[j] = snap(s * (sum - next), costs[j]!);
  alpha[i] = snap(next, costs[i]!);
}

/** A value that rounding left beside a bound is the bound. */
function snap(value: number, cost: number): number {
  if (value <= 1e-14 * cost) return 0;
  return value >= cost * (1 - 1e-14) ? cost : value;
}

/** The offset: mean of y·gradient of the examples inside the box; without any, the middle of what is possible. */
function rhoOf(alpha: Float64Array, gradient: Float64Array, y: Int8Array, costs: Float64Array): number {
  let upper = Number.POSITIVE_INFINITY;
  let lower = Number.NEGATIVE_INFINITY;
  let sum = 0;
  let free = 0;
  for (let t = 0; t < y.length; t++) {
    const value = y[t]! * gradient[t]!;
    if (alpha[t]! > 0 && alpha[t]! < costs[t]!) {
      free++;
      sum += value;
    } else if (alpha[t]! > 0 === y[t]! > 0) {
      lower = Math.max(lower, value);
    } else {
      upper = Math.min(upper, value);
    }
  }
  return free > 0 ? sum / free : (upper + lower) / 2;
}
