// The activations and their derivatives, by the numbers of `epilogue.wgsl`: gelu (x times the normal distribution function), quick_gelu
// (x sigmoid(1.702 x)), relu.
fn activated(kind: u32, x: C) -> C {
  if (kind == 2u) { return x * normal_cdf(x); }
  if (kind == 3u) { return x / (C(1.0) + exp(C(-1.702) * x)); }
  return max(x, C(0.0));
}

fn slope(kind: u32, x: C) -> C {
  if (kind == 5u) { return normal_cdf(x) + x * normal_pdf(x); }
  if (kind == 6u) {
    let g = C(1.0) / (C(1.0) + exp(C(-1.702) * x));
    return g * (C(1.0) + C(1.702) * x * (C(1.0) - g));
  }
  return select(C(0.0), C(1.0), x > C(0.0));
}
