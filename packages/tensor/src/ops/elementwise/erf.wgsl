// erf and its complement for the compute type C (f32 or vec4<f32>). Own minimax fits, relative error under 2e-8 before rounding:
// erf(x) = x P(x^2) for |x| <= 1, erfc(x) = exp(-x^2) t Q(t) with t = 1 / (1 + x / 2) beyond.
fn erf_near(x: C) -> C {
  let s = x * x;
  var p = C(7.8824974e-05);
  p = fma(p, s, C(-0.0008018855));
  p = fma(p, s, C(0.005189312));
  p = fma(p, s, C(-0.026854329));
  p = fma(p, s, C(0.11283597));
  p = fma(p, s, C(-0.37612626));
  p = fma(p, s, C(1.1283791));
  return x * p;
}

// exp(a^2) erfc(a) for a >= 1.
fn erfc_tail(a: C) -> C {
  let t = C(1.0) / fma(C(0.5), a, C(1.0));
  var q = C(0.08489581);
  q = fma(q, t, C(-0.20099594));
  q = fma(q, t, C(0.0514655));
  q = fma(q, t, C(0.08152903));
  q = fma(q, t, C(0.17087117));
  q = fma(q, t, C(0.24873407));
  q = fma(q, t, C(0.2818268));
  q = fma(q, t, C(0.282109));
  return t * q;
}

// erfc(|x|) for |x| >= 1.
fn erfc_far(x: C) -> C {
  let a = min(abs(x), C(9.0));
  return exp(-a * a) * erfc_tail(a);
}

fn erf(x: C) -> C {
  return select(erf_near(x), sign(x) * (C(1.0) - erfc_far(x)), abs(x) > C(1.0));
}

// Standard normal distribution function. For negative x by erfc, so that the tail keeps its relative accuracy.
fn normal_cdf(x: C) -> C {
  let z = x * C(0.70710678);
  let far = C(0.5) * erfc_far(z);
  let outside = select(far, C(1.0) - far, x > C(0.0));
  return select(C(0.5) + C(0.5) * erf_near(z), outside, abs(z) > C(1.0));
}

fn normal_pdf(x: C) -> C {
  return C(0.3989422804) * exp(C(-0.5) * x * x);
}
