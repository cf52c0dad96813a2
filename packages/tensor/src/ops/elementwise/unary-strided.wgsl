// y = apply(x) where x is a view with any strides; y is written without gaps.
struct Params { count: u32, rank: u32, s: u32, t: u32, offset: i32, p0: u32, p1: u32, p2: u32, shape: array<vec4<u32>, 2>, strides: array<vec4<i32>, 2> }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  var rest = i;
  var at = params.offset;
  for (var d = params.rank; d > 0u; d--) {
    let size = params.shape[(d - 1u) / 4u][(d - 1u) % 4u];
    at += i32(rest % size) * params.strides[(d - 1u) / 4u][(d - 1u) % 4u];
    rest /= size;
  }
  y[i] = Y(apply(C(x[at]), bitcast<S>(params.s), bitcast<S>(params.t)));
}
