/** Results of `layerNormReference`. */
export interface LayerNormReference {
  readonly y: Float64Array;
  readonly dx: Float64Array;
  readonly dweight: Float64Array;
  readonly dbias: Float64Array;
}

/** Layer norm over rows of `length` elements and its gradients, in plain loops and float64. */
export function layerNormReference(
  x: ArrayLike<number>,
  dy: ArrayLike<number>,
  weight: ArrayLike<number> | null,
  bias: ArrayLike<number> | null,
  length: number,
  eps: number,
): LayerNormReference {
  const y = new Float64Array(x.length);
  const dx = new Float64Array(x.length);
  const dweight = new Float64Array(length);
  const dbias = new Float64Array(length);
  for (let start = 0; start < x.length; start += length) {
    let mean = 0;
    for (let i = 0; i < length; i++) mean += x[start + i]! / length;
    let variance = 0;
    for (let i = 0; i < length; i++) variance += (x[start + i]! - mean) ** 2 / length;
    const rstd = 1 / Math.sqrt(variance + eps);
    let meanGradient = 0;
    let meanProduct = 0;
    for (let i = 0; i < length; i++) {
      const normalised = (x[start + i]! - mean) * rstd;
      const gradient = dy[start + i]! * (weight?.[i] ?? 1);
      y[start + i] = normalised * (weight?.[i] ?? 1) + (bias?.[i] ?? 0);
      dweight[i]! += dy[start + i]! * normalised;
      dbias[i]! += dy[start + i]!;
      meanGradient += gradient / length;
      meanProduct += (gradient * normalised) / length;
    }
    for (let i = 0; i < length; i++) {
      const normalised = (x[start + i]! - mean) * rstd;
      const gradient = dy[start + i]! * (weight?.[i] ?? 1);
      dx[start + i] = rstd * (gradient - meanGradient - normalised * meanProduct);
    }
  }
  return { y, dx, dweight, dbias };
}
