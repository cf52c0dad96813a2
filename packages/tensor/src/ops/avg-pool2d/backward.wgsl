// Average pooling, backward: one element of dx an invocation, which gathers its share of every window that it lies in.
// Window p covers row h where p * stride <= h + padding < p * stride + kernel.
@group(0) @binding(1) var<storage, read> dy: array<T>;
@group(0) @binding(2) var<storage, read_write> dx: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  let plane = params.size.x * params.size.y;
  if (i >= params.planes * plane) { return; }
  let at = vec2<u32>((i % plane) / params.size.y, i % params.size.y) + params.padding;
  // The first window whose end lies beyond `at`; unsigned, so nothing may be subtracted below zero.
  let first = (max(at + vec2<u32>(1u), params.kernel) - params.kernel + params.stride - vec2<u32>(1u)) / params.stride;
  let last = min(at / params.stride + vec2<u32>(1u), params.out_size);
  var total = 0.0;
  for (var p = first.x; p < last.x; p++) {
    let row = params.start + (i / plane * params.out_size.x + p) * params.out_size.y;
    for (var q = first.y; q < last.y; q++) { total += f32(dy[row + q]) / divisor(vec2<u32>(p, q)); }
  }
  dx[i] = T(total);
}
