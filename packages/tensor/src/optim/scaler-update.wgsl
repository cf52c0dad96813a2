// The loss scale after a step, as torch._amp_update_scale_: it shrinks when a gradient was not finite, and grows after
// `interval` steps without one. state: scale, steps since the last change, steps skipped, 0.
struct Params { found_inf_at: u32, growth: f32, backoff: f32, interval: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> found_inf: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<f32>;

@compute @workgroup_size(1)
fn main() {
  if (found_inf[params.found_inf_at] != 0.0) {
    state[0] *= params.backoff;
    state[1] = 0.0;
    state[2] += 1.0;
    return;
  }
  let steps = state[1] + 1.0;
  state[1] = select(steps, 0.0, steps >= params.interval);
  // Not beyond the largest f32.
  let grown = state[0] * params.growth;
  if (steps >= params.interval && grown < 3.4e38) { state[0] = grown; }
}
