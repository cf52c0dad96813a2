// Writes each element of a strided view to its place in a larger tensor without gaps.
struct Params {
  count: u32, rank: u32, x_offset: i32, y_offset: i32,
  shape: array<vec4<u32>, 2>, x_strides: array<vec4<i32>, 2>, y_strides: array<vec4<i32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  var rest = i;
  var p = params.x_offset;
  var q = params.y_offset;
  for (var d = params.rank; d > 0u; d--) {
    let size = params.shape[(d - 1u) / 4u][(d - 1u) % 4u];
    let step = i32(rest % size);
    p += step * params.x_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    q += step * params.y_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    rest /= size;
  }
  y[q] = x[p];
}
