/** Mean pooling in plain loops, summed in float64: x [B, T, D], mask [B, T]. */
export function meanPoolReference(
  [batch, tokens, features]: readonly [number, number, number],
  x: ArrayLike<number>,
  mask: ArrayLike<number>,
): Float64Array {
  const y = new Float64Array(batch * features);
  for (let b = 0; b < batch; b++) {
    let count = 0;
    for (let t = 0; t < tokens; t++) {
      const weight = mask[b * tokens + t]!;
      count += weight;
      if (weight === 0) continue;
      for (let d = 0; d < features; d++) y[b * features + d]! += weight * x[(b * tokens + t) * features + d]!;
    }
    for (let d = 0; d < features; d++) y[b * features + d]! /= Math.max(count, 1e-9);
  }
  return y;
}

/** Gradient for x where y has the gradient `dy`. */
export function meanPoolBackwardReference(
  [batch, tokens, features]: readonly [number, number, number],
  mask: ArrayLike<number>,
  dy: ArrayLike<number>,
): Float64Array {
  const dx = new Float64Array(batch * tokens * features);
  for (let b = 0; b < batch; b++) {
    let count = 0;
    for (let t = 0; t < tokens; t++) count += mask[b * tokens + t]!;
    for (let t = 0; t < tokens; t++) {
      const share = mask[b * tokens + t]! / Math.max(count, 1e-9);
      for (let d = 0; d < features; d++) dx[(b * tokens + t) * features + d] = share * dy[b * features + d]!;
    }
  }
  return dx;
}
