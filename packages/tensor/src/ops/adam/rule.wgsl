// One step of Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019) on four elements, in torch.optim's order of operations.
// All numbers that change from step to step are data: `step_size` = lr / (1 - beta1^t), `inverse_root` = 1 / sqrt(1 - beta2^t),
// `decay` = lr * weight_decay (AdamW) or weight_decay (Adam).
struct Hyper { one_minus_beta1: f32, beta2: f32, one_minus_beta2: f32, step_size: f32, inverse_root: f32, eps: f32, decay: f32, unused: f32 }
struct Moments { p: vec4<f32>, m: vec4<f32>, v: vec4<f32> }

fn adam(h: Hyper, p0: vec4<f32>, g0: vec4<f32>, m0: vec4<f32>, v0: vec4<f32>) -> Moments {
  var p = p0;
  var g = g0;
  if (DECOUPLED) { p -= h.decay * p; } else { g += h.decay * p; }
  let m = fma(vec4<f32>(h.one_minus_beta1), g - m0, m0);
  let v = fma(h.one_minus_beta2 * g, g, h.beta2 * v0);
  return Moments(p - h.step_size * m / (sqrt(v) * h.inverse_root + h.eps), m, v);
}
