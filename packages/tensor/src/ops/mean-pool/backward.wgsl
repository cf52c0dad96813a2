// dx[b, t, d] = m[b, t] dy[b, d] / (sum of the mask): the same division of work as forward, so that the mask's sum is taken
// once for a column of tokens and not once an element.
struct Params { batch: u32, tokens: u32, features: u32, dy_start: u32, mask_start: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<T>;
@group(0) @binding(2) var<storage, read> mask: array<M>;
@group(0) @binding(3) var<storage, read_write> dx: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.batch * params.features) { return; }
  let sentence = i / params.features * params.tokens;
  let feature = i % params.features;
  var count = 0.0;
  for (var t = 0u; t < params.tokens; t++) { count += f32(mask[params.mask_start + sentence + t]); }
  let share = f32(dy[params.dy_start + i]) / max(count, 1e-9);
  for (var t = 0u; t < params.tokens; t++) {
    dx[(sentence + t) * params.features + feature] = T(f32(mask[params.mask_start + sentence + t]) * share);
  }
}
