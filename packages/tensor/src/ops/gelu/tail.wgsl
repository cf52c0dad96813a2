// F(-|x|), the lower tail of the normal distribution, from e = exp(-x^2 / 2): e t Q(t) with t = 1 / (1 + |x| / sqrt 8). One formula for
// all x, relative error under 5e-8 before rounding (own fit), and e is what the derivative of F needs as well.
fn lower_tail(x: C, e: C) -> C {
  let t = C(1.0) / fma(C(0.35355339), abs(x), C(1.0));
  var q = C(-0.029320585);
  q = fma(q, t, C(0.14123765));
  q = fma(q, t, C(-0.24141124));
  q = fma(q, t, C(0.13650972));
  q = fma(q, t, C(-0.011558105));
  q = fma(q, t, C(0.10059292));
  q = fma(q, t, C(0.121744));
  q = fma(q, t, C(0.14116085));
  q = fma(q, t, C(0.14104476));
  return e * t * q;
}
