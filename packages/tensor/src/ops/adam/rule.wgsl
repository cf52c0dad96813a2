// The formula of step 1 on four elements at a time.
struct Moments { p: vec4<f32>, m: vec4<f32>, v: vec4<f32> }

fn adam(step: Step, decay: f32, p0: vec4<f32>, g0: vec4<f32>, m0: vec4<f32>, v0: vec4<f32>) -> Moments {
  var p = p0;
  var g = g0 * step.scale;
  if (DECOUPLED) { p -= decay * p; } else { g += decay * p; }
  let m = fma(vec4<f32>(params.one_minus_beta1), g - m0, m0);
  let v = fma(params.one_minus_beta2 * g, g, params.beta2 * v0);
  return Moments(p - step.size * m / (sqrt(v) * step.inverse_root + params.eps), m, v);
}
