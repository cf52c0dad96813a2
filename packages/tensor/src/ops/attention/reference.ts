/** An attention in numbers: sizes as in `scaledDotProductAttention`, arrays row-major [B, H, L | S, D]. */
export interface ReferenceProblem {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  /** Gradient of the output; zeros if only the output is wanted. */
  readonly g: ArrayLike<number>;
  readonly scale: number;
  readonly isCausal: boolean;
  /** What is added to the scaled score; -Infinity hides the key. */
  readonly bias: (b: number, h: number, i: number, j: number) => number;
  /** What the weight is multiplied with after softmax: 1, or dropout's 0 or 1 / (1 - p). */
  readonly kept: (b: number, h: number, i: number, j: number) => number;
}

/** Output and gradients in float64. */
export interface ReferenceResult {
  readonly y: Float64Array;
  readonly dq: Float64Array;
  readonly dk: Float64Array;
  readonly dv: Float64Array;
}

/**
 * Attention and its gradient in plain loops and float64, with the whole row of weights in memory: what every variant is
 * compared with. A query without any key gives zeros and no gradient.
 */
export function attentionReference(problem: ReferenceProblem): ReferenceResult {
  const { B, H, L, S, D, q, k, v, g, scale, isCausal, bias, kept } = problem;
  const y = new Float64Array(B * H * L * D);
  const dq = new Float64Array(B * H * L * D);
  const dk = new Float64Array(B * H * S * D);
  const dv = new Float64Array(B * H * S * D);
  const weights = new Float64Array(S);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      for (let i = 0; i < L; i++) {
        const query = ((b * H + h) * L + i) * D;
        const keys = (b * H + h) * S * D;
        let top = Number.NEGATIVE_INFINITY;
        for (let j = 0; j < S; j++) {
          let dot = 0;
          for (let d = 0; d < D; d++) dot += q[query + d]! * k[keys + j * D + d]!;
          weights[j] = isCausal && j > i ? Number.NEGATIVE_INFINITY : dot * scale + bias(b, h, i, j);
          top = Math.max(top, weights[j]!);
        }
        if (top === Number.NEGATIVE_INFINITY) continue;
        let total = 0;
        for (let j = 0; j < S; j++) {
          weights[j] = Math.exp(weights[j]! - top);
          total += weights[j]!;
        }
        for (let j = 0; j < S; j++) {
          weights[j]! /= total;
          const used = weights[j]! * kept(b, h, i, j);
          for (let d = 0; d < D; d++) {
            y[query + d]! += used * v[keys + j * D + d]!;
            dv[keys + j * D + d]! += used * g[query + d]!;
          }
        }
        let delta = 0;
        for (let d = 0; d < D; d++) delta += y[query + d]! * g[query + d]!;
        for (let j = 0; j < S; j++) {
          let product = 0;
          for (let d = 0; d < D; d++) product += g[query + d]! * v[keys + j * D + d]!;
          const slope = weights[j]! * (product * kept(b, h, i, j) - delta) * scale;
          for (let d = 0; d < D; d++) {
            dq[query + d]! += slope * k[keys + j * D + d]!;
            dk[keys + j * D + d]! += slope * q[query + d]!;
          }
        }
      }
    }
  }
  return { y, dq, dk, dv };
}
