// What a dispatch of Adam for one tensor gets. Two constants stand before this text:
// DECOUPLED: weight decay apart from the gradient (AdamW), not added to it (Adam);
// COUNTED: the GPU counts the steps itself, because a step may be skipped (GradScaler); the bias corrections lie in `control`.
struct Params {
  count: u32,            // elements of the tensor
  scale_at: u32,         // place in `control` of the factor of all gradients (clipping, loss scale)
  corrections_at: u32,   // COUNTED: place in `control` of 1 / (1 - beta1^t) and, after it, 1 / sqrt(1 - beta2^t)
  unused: u32,
  one_minus_beta1: f32, beta2: f32, one_minus_beta2: f32, eps: f32,
  rate: f32,             // lr / (1 - beta1^t); COUNTED: lr
  inverse_root: f32,     // 1 / sqrt(1 - beta2^t)
  decay: f32,            // lr * weight_decay (AdamW) or weight_decay (Adam)
  unused2: f32,
}

// What is the same for all elements in this step.
struct Step { scale: f32, size: f32, inverse_root: f32, skip: bool }

fn this_step() -> Step {
  if (!COUNTED) { return Step(control[params.scale_at], params.rate, params.inverse_root, false); }
  let at = params.corrections_at;
  return Step(control[0], params.rate * control[at], control[at + 1u], control[1] != 0.0);
}
