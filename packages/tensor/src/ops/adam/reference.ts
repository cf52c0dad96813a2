/** Settings of one step of `adamReference`, as in `torch.optim.AdamW`. */
export interface AdamReferenceSettings {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** Number of the step, from 1 on. */
  readonly step: number;
  /** AdamW; else Adam, which adds the decay to the gradient. */
  readonly decoupled: boolean;
  /** Factor of all gradients. */
  readonly scale: number;
}

/** Parameter and moments after a step, in float64: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2. */
export function adamReference(
  parameter: ArrayLike<number>,
  gradient: ArrayLike<number>,
  expAvg: ArrayLike<number>,
  expAvgSq: ArrayLike<number>,
  { lr, betas, eps, weightDecay, step, decoupled, scale }: AdamReferenceSettings,
): { p: Float64Array; m: Float64Array; v: Float64Array } {
  const [p, m, v] = [Float64Array.from(parameter), Float64Array.from(expAvg), Float64Array.from(expAvgSq)];
  for (let i = 0; i < p.length; i++) {
    const g = gradient[i]! * scale + (decoupled ? 0 : weightDecay * p[i]!);
    m[i] = betas[0] * m[i]! + (1 - betas[0]) * g;
    v[i] = betas[1] * v[i]! + (1 - betas[1]) * g * g;
    const mean = m[i]! / (1 - betas[0] ** step);
    const square = v[i]! / (1 - betas[1] ** step);
    const kept = decoupled ? p[i]! * (1 - lr * weightDecay) : p[i]!;
    p[i] = kept - (lr * mean) / (Math.sqrt(square) + eps);
  }
  return { p, m, v };
}
