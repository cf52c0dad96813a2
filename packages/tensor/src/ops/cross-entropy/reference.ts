/** Rows of C classes that are `inner` apart, and what counts how much. */
export interface CrossEntropyProblem {
  readonly logits: ArrayLike<number>;
  /** Class ids, one a row; or probabilities, laid out as the logits. */
  readonly target: ArrayLike<number>;
  readonly classes: number;
  readonly inner: number;
  readonly soft: boolean;
  readonly weight: ArrayLike<number> | null;
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
  /** The logits are log-probabilities already. */
  readonly nll: boolean;
}

/** Results of `crossEntropyReference`. */
export interface CrossEntropyReference {
  /** One loss a row. */
  readonly losses: Float64Array;
  /** What each row counts in the mean. */
  readonly mass: Float64Array;
  /** Gradient of the sum of the losses, each times its entry of `dy`. */
  gradient(dy: ArrayLike<number>): Float64Array;
}

/** Cross entropy in plain loops and float64, written from the definition: the loss is linear in log-softmax. */
export function crossEntropyReference(problem: CrossEntropyProblem): CrossEntropyReference {
  const { logits, target, classes, inner, soft, weight, ignoreIndex, labelSmoothing, nll } = problem;
  const rows = logits.length / classes;
  const at = (row: number, c: number) => (Math.floor(row / inner) * classes + c) * inner + (row % inner);
  const losses = new Float64Array(rows);
  const mass = new Float64Array(rows);
  const shares = new Float64Array(logits.length);
  const softmax = new Float64Array(logits.length);
  for (let row = 0; row < rows; row++) {
    if (!soft && target[row] === ignoreIndex) continue;
    let maximum = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) maximum = Math.max(maximum, logits[at(row, c)]!);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(logits[at(row, c)]! - maximum);
    mass[row] = soft ? 1 : (weight?.[target[row]!] ?? 1);
    for (let c = 0; c < classes; c++) {
      const p = soft ? target[at(row, c)]! : Number(target[row] === c);
      const q = (weight?.[c] ?? 1) * ((1 - labelSmoothing) * p + labelSmoothing / classes);
      const logarithm = logits[at(row, c)]! - (nll ? 0 : maximum + Math.log(sum));
      if (q !== 0) losses[row]! -= q * logarithm;
      shares[at(row, c)] = q;
      softmax[at(row, c)] = nll ? 0 : Math.exp(logarithm);
    }
  }
  return {
    losses,
    mass,
    gradient(dy) {
      const dx = new Float64Array(logits.length);
      for (let row = 0; row < rows; row++) {
        let total = 0;
        for (let c = 0; c < classes; c++) total += shares[at(row, c)]!;
        for (let c = 0; c < classes; c++) {
          dx[at(row, c)] = dy[row]! * (softmax[at(row, c)]! * total - shares[at(row, c)]!);
        }
      }
      return dx;
    },
  };
}
