// Counts a step of every parameter on the GPU, unless a gradient was not finite, and prepares `control` for Adam's kernels:
// the factor of the gradients, whether to skip, and for each parameter its bias corrections and its number of steps.
struct Params { first: u32, count: u32, scale_at: u32, found_inf_at: u32, log_beta1: f32, log_beta2: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> scale: array<f32>;
@group(0) @binding(2) var<storage, read> found_inf: array<f32>;
@group(0) @binding(3) var<storage, read_write> control: array<f32>;

// 1 - e^x for x <= 0, without the cancellation near 0 that 1 - beta^t would suffer.
fn one_minus_exp(x: f32) -> f32 {
  if (x < -0.1) { return 1.0 - exp(x); }
  return -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0))));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.count) { return; }
  let skip = found_inf[params.found_inf_at] != 0.0;
  if (id.x == 0u) {
    control[0] = scale[params.scale_at];
    control[1] = select(0.0, 1.0, skip);
  }
  let at = 4u * (1u + params.first + id.x);
  let t = control[at + 2u] + select(1.0, 0.0, skip);
  control[at] = 1.0 / one_minus_exp(t * params.log_beta1);
  control[at + 1u] = inverseSqrt(one_minus_exp(t * params.log_beta2));
  control[at + 2u] = t;
}
