// y[..., index[..., j, ...], ...] += src[..., j, ...] in place. One invocation owns a whole line along the dimension and walks it
// from the front: repeated indices add up in a definite order, and no two invocations write the same element.
struct Params {
  lines: u32, length: u32, index_step: u32, y_step: u32, limit: u32, rank: u32, index_offset: u32, src_offset: u32,
  shape: array<vec4<u32>, 2>, index_strides: array<vec4<u32>, 2>, y_strides: array<vec4<u32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<I>;
@group(0) @binding(2) var<storage, read> src: array<T>;
@group(0) @binding(3) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let line = (w.x + w.y * n.x) * 64u + l;
  if (line >= params.lines) { return; }
  var rest = line;
  var from_at = 0u;
  var to_at = 0u;
  for (var d = params.rank; d > 0u; d--) {
    let size = params.shape[(d - 1u) / 4u][(d - 1u) % 4u];
    from_at += (rest % size) * params.index_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    to_at += (rest % size) * params.y_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    rest /= size;
  }
  for (var j = 0u; j < params.length; j++) {
    let k = u32(index[params.index_offset + from_at]);
    if (k < params.limit) { y[to_at + k * params.y_step] += src[params.src_offset + from_at]; }
    from_at += params.index_step;
  }
}
