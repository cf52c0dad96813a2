// Multiplies up to three tensors by coefficient[0], in place.
struct Params { groups: vec4<u32>, ends: vec4<u32> }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> coefficient: array<f32>;
@group(0) @binding(2) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x1: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> x2: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let c = coefficient[0];
  let group = w.x + w.y * n.x;
  if (group < params.ends.x) {
    let i = group * 64u + l;
    if (i < params.groups.x) { x0[i] *= c; }
  } else if (group < params.ends.y) {
    let i = (group - params.ends.x) * 64u + l;
    if (i < params.groups.y) { x1[i] *= c; }
  } else {
    let i = (group - params.ends.y) * 64u + l;
    if (i < params.groups.z) { x2[i] *= c; }
  }
}
