/** Dual coordinate descent. Source: Hsieh, Chang, Lin, Keerthi and Sundararajan 2008, algorithms 1 and 3. */
import { Random } from "../random.js";
import type { BinaryProblem, BinarySolution } from "./problem.js";

/** @param squared whether the loss is the square of the hinge */
export function solveDual(problem: BinaryProblem, squared: boolean, seed: number): BinarySolution {
  const { matrix, y, costs, bias, tol, maxIter } = problem;
  const { data, rows, columns } = matrix;
  const random = new Random(seed);
  const w = new Float64Array(columns + 1);
  const alpha = new Float64Array(rows);
  const diagonal = Float64Array.from(costs, (cost) => (squared ? 0.5 / cost : 0));
  const curvature = diagonal.map((d, i) => d + bias * bias + squaredNorm(data, i * columns, columns));
  const order = Int32Array.from({ length: rows }, (_, i) => i);
  let active = rows;
  // Bounds of the projected gradients of the last pass, by which examples that stay at a bound are left out.
  let highBefore = Number.POSITIVE_INFINITY;
  let lowBefore = Number.NEGATIVE_INFINITY;
  for (let iteration = 1; iteration <= maxIter; iteration++) {
    let high = Number.NEGATIVE_INFINITY;
    let low = Number.POSITIVE_INFINITY;
    random.shuffle(order, active);
    for (let s = 0; s < active; s++) {
      const i = order[s]!;
      const at = i * columns;
      let product = w[columns]! * bias;
      for (let j = 0; j < columns; j++) product += w[j]! * data[at + j]!;
      const gradient = y[i]! * product - 1 + diagonal[i]! * alpha[i]!;
      const limit = squared ? Number.POSITIVE_INFINITY : costs[i]!;
      let projected = gradient;
      if (alpha[i] === 0) {
        if (gradient > highBefore) {
          active--;
          swap(order, s--, active);
          continue;
        }
        projected = Math.min(gradient, 0);
      } else if (alpha[i] === limit) {
        if (gradient < lowBefore) {
          active--;
          swap(order, s--, active);
          continue;
        }
        projected = Math.max(gradient, 0);
      }
      high = Math.max(high, projected);
      low = Math.min(low, projected);
      if (Math.abs(projected) < 1e-12) continue;
      const before = alpha[i]!;
      alpha[i] = Math.min(Math.max(before - gradient / curvature[i]!, 0), limit);
      const step = (alpha[i]! - before) * y[i]!;
      for (let j = 0; j < columns; j++) w[j]! += step * data[at + j]!;
      w[columns]! += step * bias;
    }
    if (high - low <= tol) {
      if (active === rows) return { w, iterations: iteration, converged: true };
      // Done among those left: once more over all of them.
      active = rows;
      highBefore = Number.POSITIVE_INFINITY;
      lowBefore = Number.NEGATIVE_INFINITY;
      continue;
    }
    highBefore = high > 0 ? high : Number.POSITIVE_INFINITY;
    lowBefore = low < 0 ? low : Number.NEGATIVE_INFINITY;
  }
  return { w, iterations: maxIter, converged: false };
}

function squaredNorm(data: Float64Array, at: number, columns: number): number {
  let sum = 0;
  for (let j = at; j < at + columns; j++) sum += data[j]! * data[j]!;
  return sum;
}

function swap(order: Int32Array, a: number, b: number): void {
  const value = order[a]!;
  order[a] = order[b]!;
  order[b] = value;
}
