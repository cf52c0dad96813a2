/**
 * Trust-region Newton for the squared hinge, with conjugate gradients inside.
 * Source: Lin, Weng and Keerthi 2008, algorithms 1 and 2; Lin and Moré 1999 for the size of the region.
 */
import { addRows, dot, multiplyRows } from "../matrix.js";
import type { BinaryProblem, BinarySolution } from "./problem.js";

/** A step is taken if the decrease is this share of what the model of second order promised. */
const ACCEPT = 1e-4;
/** Below the first share the region shrinks, above the second it may grow. */
const POOR = 0.25;
const GOOD = 0.75;
/** The residual of the conjugate gradients, as a share of the gradient. */
const RESIDUAL = 0.1;

/** Minimises ½ w·w + Σ cost · max(0, 1 − y w·x)². */
export function solvePrimal(problem: BinaryProblem): BinarySolution {
  const { matrix, y, costs, bias, tol, maxIter } = problem;
  const { rows, columns } = matrix;
  const size = columns + 1;
  const scores = new Float64Array(rows);
  /** 2 · cost where the margin is not kept, else 0. */
  const active = new Float64Array(rows);
  const scratch = new Float64Array(rows);

  const multiply = (v: Float64Array, out: Float64Array): void => {
    multiplyRows(matrix, v, 0, out);
    for (let i = 0; i < rows; i++) out[i]! += v[columns]! * bias;
  };
  const addTransposed = (weights: Float64Array, out: Float64Array): void => {
    addRows(matrix, weights, out);
    let sum = 0;
    for (let i = 0; i < rows; i++) sum += weights[i]!;
    out[columns]! += sum * bias;
  };
  /** The value at `w`; leaves its scores. */
  const valueAt = (w: Float64Array): number => {
    multiply(w, scores);
    let loss = dot(w, w) / 2;
    for (let i = 0; i < rows; i++) loss += costs[i]! * Math.max(0, 1 - y[i]! * scores[i]!) ** 2;
    return loss;
  };
  /** The gradient at the `w` of the scores; leaves which examples are active. */
  const gradientAt = (w: Float64Array): Float64Array => {
    for (let i = 0; i < rows; i++) {
      const isActive = y[i]! * scores[i]! < 1;
      active[i] = isActive ? 2 * costs[i]! : 0;
      scratch[i] = isActive ? active[i]! * (scores[i]! - y[i]!) : 0;
    }
    const out = w.slice();
    addTransposed(scratch, out);
    return out;
  };
  /** Hessian · v */
  const curve = (v: Float64Array): Float64Array => {
    multiply(v, scratch);
    for (let i = 0; i < rows; i++) scratch[i]! *= active[i]!;
    const out = v.slice();
    addTransposed(scratch, out);
    return out;
  };

  let w: Float64Array = new Float64Array(size);
  let value = valueAt(w);
  let gradient = gradientAt(w);
  const norm0 = Math.sqrt(dot(gradient, gradient));
  let norm = norm0;
  let radius = norm0;
  const positives = y.reduce((count, side) => count + (side > 0 ? 1 : 0), 0);
  const enough = tol * norm0 * (Math.max(1, Math.min(positives, rows - positives)) / rows);
  for (let iteration = 0; ; iteration++) {
    if (norm <= enough) return { w, iterations: iteration, converged: true };
    if (iteration === maxIter) return { w, iterations: iteration, converged: false };
    const { step, residual } = stepWithin(radius, gradient, norm, curve);
    const slope = dot(gradient, step);
    const promised = -0.5 * (slope - dot(step, residual));
    const next = w.map((x, j) => x + step[j]!);
    const nextValue = valueAt(next);
    const decrease = value - nextValue;
    const length = Math.sqrt(dot(step, step));
    if (iteration === 0) radius = Math.min(radius, length);
    const scale =
      nextValue - value - slope <= 0 ? 4 : Math.max(0.25, -0.5 * (slope / (nextValue - value - slope)));
    if (decrease < ACCEPT * promised) radius = Math.min(Math.max(scale, 0.25) * length, 0.5 * radius);
    else if (decrease < POOR * promised)
      radius = Math.max(0.25 * radius, Math.min(scale * length, 0.5 * radius));
    else if (decrease < GOOD * promised)
      radius = Math.max(0.25 * radius, Math.min(scale * length, 4 * radius));
    else radius = Math.max(radius, Math.min(scale * length, 4 * radius));
    if (decrease > ACCEPT * promised) {
      w = next;
      value = nextValue;
      gradient = gradientAt(w);
      norm = Math.sqrt(dot(gradient, gradient));
    } else {
      valueAt(w);
    }
    // Rounding leaves nothing to gain.
    if (Math.abs(decrease) <= 1e-12 * Math.abs(value) && Math.abs(promised) <= 1e-12 * Math.abs(value)) {
      return { w, iterations: iteration + 1, converged: true };
    }
  }
}

/** About −H⁻¹ · gradient, cut off where it leaves the region, and what is left of the equation. */
function stepWithin(
  radius: number,
  gradient: Float64Array,
  norm: number,
  curve: (v: Float64Array) => Float64Array,
): { step: Float64Array; residual: Float64Array } {
  const step = new Float64Array(gradient.length);
  const residual = gradient.map((g) => -g);
  const direction = residual.slice();
  let square = dot(residual, residual);
  while (Math.sqrt(square) > RESIDUAL * norm) {
    const curved = curve(direction);
    let length = square / dot(direction, curved);
    const whole = step.map((s, j) => s + length * direction[j]!);
    const leaves = Math.sqrt(dot(whole, whole)) > radius;
    if (leaves) length = toBoundary(step, direction, radius);
    for (let j = 0; j < step.length; j++) {
      step[j]! += length * direction[j]!;
      residual[j]! -= length * curved[j]!;
    }
    if (leaves) break;
    const next = dot(residual, residual);
    for (let j = 0; j < step.length; j++) direction[j] = residual[j]! + (next / square) * direction[j]!;
    square = next;
  }
  return { step, residual };
}

/** How far along `direction` from `step` the distance to 0 is `radius`. */
function toBoundary(step: Float64Array, direction: Float64Array, radius: number): number {
  const sd = dot(step, direction);
  const dd = dot(direction, direction);
  const left = radius * radius - dot(step, step);
  const root = Math.sqrt(sd * sd + dd * left);
  return sd >= 0 ? left / (sd + root) : (root - sd) / dd;
}
