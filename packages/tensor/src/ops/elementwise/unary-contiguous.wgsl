// y = apply(x) for tensors without gaps, four elements an invocation.
// Buffers are padded to 16 bytes, so the last group of four needs no bounds check.
struct Params { groups: u32, x_offset: u32, s: u32, t: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<X>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Y>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.groups) { return; }
  y[i] = vec4<Y>(apply(C(x[i + params.x_offset]), bitcast<S>(params.s), bitcast<S>(params.t)));
}
