/** erf by its series near 0 and by a continued fraction beyond, in float64. */
export function erfReference(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; Math.abs(term) > 1e-18 * a; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  return Math.sign(x) * (1 - erfcTail(a));
}

/** erfc(a) for a >= 3: exp(-a^2) / sqrt(pi) over a + (1/2) / (a + (2/2) / (a + …)). */
function erfcTail(a: number): number {
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / 2 / (a + fraction);
  return Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction);
}

/** Normal distribution function, with its tail's relative accuracy. */
function normalCdf(x: number): number {
  const z = x / Math.SQRT2;
  return z < -3 ? 0.5 * erfcTail(-z) : 0.5 * (1 + erfReference(z));
}

/** x F(x), F the normal distribution function. */
export function geluReference(x: ArrayLike<number>): Float64Array {
  return Float64Array.from(x, (value) => value * normalCdf(value));
}

/** dy (F(x) + x F'(x)). */
export function geluGradientReference(x: ArrayLike<number>, dy: ArrayLike<number>): Float64Array {
  return Float64Array.from(x, (value, i) => {
    const density = Math.exp(-0.5 * value * value) / Math.sqrt(2 * Math.PI);
    return dy[i]! * (normalCdf(value) + value * density);
  });
}
