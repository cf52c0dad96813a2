/**
 * Limited-memory BFGS with a line search for the strong Wolfe conditions.
 * Source: Nocedal and Wright 2006, Numerical Optimization, algorithms 7.4, 3.5 and 3.6.
 */
import { dot, maxAbs } from "./matrix.js";

/** Value of a function at `x`; writes its gradient into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => number;

/** When {@link minimize} stops. */
export interface MinimizeOptions {
  maxIter: number;
  /** The largest entry of the gradient that counts as none. */
  gradientTolerance: number;
  /** A decrease that counts as none, as a share of the value. */
  valueTolerance: number;
  /** Is called after every iteration. */
  onIteration?: (iteration: number, value: number) => void;
}

/** What came of it. */
export interface Minimum {
  x: Float64Array;
  iterations: number;
  converged: boolean;
}

const MEMORY = 10;
const SUFFICIENT_DECREASE = 1e-4;
const CURVATURE = 0.9;
const MAX_EVALUATIONS = 40;

/** Minimises a smooth function from `start` on. */
export function minimize(objective: Objective, start: Float64Array, options: MinimizeOptions): Minimum {
  let x: Float64Array = start.slice();
  let gradient: Float64Array = new Float64Array(x.length);
  let value = objective(x, gradient);
  const steps: Float64Array[] = [];
  const changes: Float64Array[] = [];
  for (let iteration = 0; ; iteration++) {
    if (maxAbs(gradient) <= options.gradientTolerance) return { x, iterations: iteration, converged: true };
    if (iteration === options.maxIter) return { x, iterations: iteration, converged: false };
    const direction = descent(gradient, steps, changes);
    const first = steps.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1;
    const found = lineSearch(objective, { x, value, gradient }, direction, first);
    if (!found) {
      // Rounding leaves nothing to gain along this direction; with old curvature forgotten there may be along the gradient.
      if (steps.length === 0) return { x, iterations: iteration, converged: true };
      steps.length = 0;
      changes.length = 0;
      continue;
    }
    const step = found.x.map((next, i) => next - x[i]!);
    const change = found.gradient.map((next, i) => next - gradient[i]!);
    if (dot(step, change) > 1e-10 * dot(change, change)) {
      steps.push(step);
      changes.push(change);
      if (steps.length > MEMORY) {
        steps.shift();
        changes.shift();
      }
    }
    const decrease = value - found.value;
    const scale = Math.max(Math.abs(value), Math.abs(found.value), 1);
    ({ x, value, gradient } = found);
    options.onIteration?.(iteration + 1, value);
    if (decrease <= options.valueTolerance * scale) return { x, iterations: iteration + 1, converged: true };
  }
}

/** −H · gradient, with H made of the last steps and the changes of the gradient along them. */
function descent(gradient: Float64Array, steps: Float64Array[], changes: Float64Array[]): Float64Array {
  const q = gradient.map((g) => -g);
  const alphas: number[] = [];
  for (let k = steps.length - 1; k >= 0; k--) {
    const alpha = dot(steps[k]!, q) / dot(steps[k]!, changes[k]!);
    alphas[k] = alpha;
    addScaled(q, changes[k]!, -alpha);
  }
  const last = steps.length - 1;
  if (last >= 0) {
    const scale = dot(steps[last]!, changes[last]!) / dot(changes[last]!, changes[last]!);
    for (let i = 0; i < q.length; i++) q[i]! *= scale;
  }
  for (let k = 0; k <= last; k++) {
    const beta = dot(changes[k]!, q) / dot(steps[k]!, changes[k]!);
    addScaled(q, steps[k]!, alphas[k]! - beta);
  }
  return q;
}

function addScaled(out: Float64Array, values: Float64Array, scale: number): void {
  for (let i = 0; i < out.length; i++) out[i]! += scale * values[i]!;
}

interface Point {
  x: Float64Array;
  value: number;
  gradient: Float64Array;
}

/** A point of a line: how far along it, its value and slope. */
interface OnLine {
  at: number;
  value: number;
  slope: number;
}

/** A point along `direction` that meets the strong Wolfe conditions; null where none is found. */
function lineSearch(objective: Objective, from: Point, direction: Float64Array, first: number): Point | null {
  const slope = dot(from.gradient, direction);
  if (slope >= 0) return null;
  let best: Point | null = null;
  let evaluations = 0;
  const probe = (at: number): OnLine => {
    const x = from.x.map((value, i) => value + at * direction[i]!);
    const gradient = new Float64Array(x.length);
    const value = objective(x, gradient);
    evaluations++;
    if (value < (best?.value ?? from.value)) best = { x, value, gradient };
    return { at, value, slope: dot(gradient, direction) };
  };
  const enough = (p: OnLine) => p.value <= from.value + SUFFICIENT_DECREASE * p.at * slope;
  const flat = (p: OnLine) => Math.abs(p.slope) <= -CURVATURE * slope;
  let low: OnLine = { at: 0, value: from.value, slope };
  let high: OnLine | null = null;
  let at = first;
  while (evaluations < MAX_EVALUATIONS) {
    const p = probe(at);
    if (!enough(p) || p.value >= low.value) high = p;
    else {
      if (flat(p)) return best;
      // The minimum lies between a point and one that its slope leads to.
      if (high ? p.slope * (high.at - low.at) >= 0 : p.slope >= 0) high = low;
      low = p;
    }
    at = high ? between(low, high) : at * 4;
    if (high && Math.abs(high.at - low.at) <= 1e-16 * Math.max(1, low.at)) break;
  }
  return best;
}

/** Minimum of the cubic through two points with their slopes, kept away from both ends. */
function between(a: OnLine, b: OnLine): number {
  const d1 = a.slope + b.slope - (3 * (a.value - b.value)) / (a.at - b.at);
  const d2 = Math.sign(b.at - a.at) * Math.sqrt(Math.max(0, d1 * d1 - a.slope * b.slope));
  const at = b.at - ((b.at - a.at) * (b.slope + d2 - d1)) / (b.slope - a.slope + 2 * d2);
  const margin = 0.1 * Math.abs(b.at - a.at);
  const [from, to] = [Math.min(a.at, b.at) + margin, Math.max(a.at, b.at) - margin];
  return Number.isFinite(at) ? Math.min(to, Math.max(from, at)) : (a.at + b.at) / 2;
}
