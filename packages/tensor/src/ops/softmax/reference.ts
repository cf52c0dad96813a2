/** Softmax (or its logarithm) of `rows` rows of `length` elements that are `inner` apart, in plain loops and float64. */
export function softmaxReference(
  x: ArrayLike<number>,
  length: number,
  inner: number,
  log: boolean,
): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += length * inner) {
    for (let column = 0; column < inner; column++) {
      const at = (i: number) => start + i * inner + column;
      let maximum = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < length; i++) maximum = Math.max(maximum, x[at(i)]!);
      let sum = 0;
      for (let i = 0; i < length; i++) sum += Math.exp(x[at(i)]! - maximum);
      for (let i = 0; i < length; i++) {
        const shifted = x[at(i)]! - maximum;
        y[at(i)] = log ? shifted - Math.log(sum) : Math.exp(shifted) / sum;
      }
    }
  }
  return y;
}

/** Gradient of x from the result `y` of `softmaxReference` and its gradient. */
export function softmaxGradientReference(
  y: ArrayLike<number>,
  dy: ArrayLike<number>,
  length: number,
  inner: number,
  log: boolean,
): Float64Array {
  const dx = new Float64Array(y.length);
  for (let start = 0; start < y.length; start += length * inner) {
    for (let column = 0; column < inner; column++) {
      const at = (i: number) => start + i * inner + column;
      let sum = 0;
      for (let i = 0; i < length; i++) sum += log ? dy[at(i)]! : dy[at(i)]! * y[at(i)]!;
      for (let i = 0; i < length; i++) {
        const [value, gradient] = [y[at(i)]!, dy[at(i)]!];
        dx[at(i)] = log ? gradient - Math.exp(value) * sum : value * (gradient - sum);
      }
    }
  }
  return dx;
}
