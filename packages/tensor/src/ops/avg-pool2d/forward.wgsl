// Average pooling, forward: one window an invocation. Bound by memory; overlapping windows read from the cache.
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  let plane = params.out_size.x * params.out_size.y;
  if (i >= params.planes * plane) { return; }
  let window = vec2<u32>((i % plane) / params.out_size.y, i % params.out_size.y);
  let corner = vec2<i32>(window * params.stride) - vec2<i32>(params.padding);
  let first = vec2<u32>(max(corner, vec2<i32>(0)));
  let last = min(vec2<u32>(corner + vec2<i32>(params.kernel)), params.size);
  var total = 0.0;
  for (var h = first.x; h < last.x; h++) {
    let row = params.start + (i / plane * params.size.x + h) * params.size.y;
    for (var v = first.y; v < last.y; v++) { total += f32(x[row + v]); }
  }
  y[i] = T(total / divisor(window));
}
