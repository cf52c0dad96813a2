// y[b, d] = sum over t of m[b, t] x[b, t, d], divided by the sum of the mask: one feature of one sentence an invocation.
// Neighbouring invocations read neighbouring features. The mask's sum is taken again by each; it is small and cached.
struct Params { batch: u32, tokens: u32, features: u32, x_start: u32, mask_start: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read> mask: array<M>;
@group(0) @binding(3) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.batch * params.features) { return; }
  let sentence = i / params.features * params.tokens;
  let feature = i % params.features;
  var total = 0.0;
  var count = 0.0;
  for (var t = 0u; t < params.tokens; t++) {
    let weight = f32(mask[params.mask_start + sentence + t]);
    count += weight;
    // Not multiplied but skipped: a padded position may hold anything, NaN too.
    if (weight != 0.0) { total = fma(weight, f32(x[params.x_start + (sentence + t) * params.features + feature]), total); }
  }
  y[i] = T(total / max(count, 1e-9));
}
