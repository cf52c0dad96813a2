// y = value, four elements an invocation.
struct Params { groups: u32, bits: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i < params.groups) { y[i] = vec4<u32>(params.bits); }
}
