// y[..., j, ...] = x[..., index[..., j, ...], ...]: one invocation an element of the index, whose shape is `shape`. x_strides
// are those of x, but 0 for the gathered dimension, whose stride is `step`.
struct Params {
  count: u32, rank: u32, index_offset: u32, x_offset: i32, limit: u32, step: i32, not_a_number: f32, p0: u32,
  shape: array<vec4<u32>, 2>, x_strides: array<vec4<i32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read> index: array<I>;
@group(0) @binding(3) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  var rest = i;
  var at = params.x_offset;
  for (var d = params.rank; d > 0u; d--) {
    let size = params.shape[(d - 1u) / 4u][(d - 1u) % 4u];
    at += i32(rest % size) * params.x_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    rest /= size;
  }
  let k = u32(index[i + params.index_offset]);
  // A kernel cannot throw: an index outside the dimension gives NaN.
  if (k >= params.limit) { y[i] = T(params.not_a_number); } else { y[i] = x[at + i32(k) * params.step]; }
}
