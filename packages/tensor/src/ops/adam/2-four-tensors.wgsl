// Adam, step 2 of 2: four tensors a dispatch, a quarter of the dispatches.
// Needs: 16 storage buffers a stage (WebGPU guarantees 8). `ends` are the first workgroups after each tensor's own.
struct Params { groups: vec4<u32>, ends: vec4<u32>, hyper: Hyper }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> p0: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m0: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v0: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> g1: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> p1: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> m1: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> v1: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read> g2: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read_write> p2: array<vec4<f32>>;
@group(0) @binding(11) var<storage, read_write> m2: array<vec4<f32>>;
@group(0) @binding(12) var<storage, read_write> v2: array<vec4<f32>>;
@group(0) @binding(13) var<storage, read> g3: array<vec4<f32>>;
@group(0) @binding(14) var<storage, read_write> p3: array<vec4<f32>>;
@group(0) @binding(15) var<storage, read_write> m3: array<vec4<f32>>;
@group(0) @binding(16) var<storage, read_write> v3: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  if (group < params.ends.x) {
    let i = group * 64u + l;
    if (i >= params.groups.x) { return; }
    let r = adam(params.hyper, p0[i], g0[i], m0[i], v0[i]);
    p0[i] = r.p;
    m0[i] = r.m;
    v0[i] = r.v;
  } else if (group < params.ends.y) {
    let i = (group - params.ends.x) * 64u + l;
    if (i >= params.groups.y) { return; }
    let r = adam(params.hyper, p1[i], g1[i], m1[i], v1[i]);
    p1[i] = r.p;
    m1[i] = r.m;
    v1[i] = r.v;
  } else if (group < params.ends.z) {
    let i = (group - params.ends.y) * 64u + l;
    if (i >= params.groups.z) { return; }
    let r = adam(params.hyper, p2[i], g2[i], m2[i], v2[i]);
    p2[i] = r.p;
    m2[i] = r.m;
    v2[i] = r.v;
  } else {
    let i = (group - params.ends.z) * 64u + l;
    if (i >= params.groups.w) { return; }
    let r = adam(params.hyper, p3[i], g3[i], m3[i], v3[i]);
    p3[i] = r.p;
    m3[i] = r.m;
    v3[i] = r.v;
  }
}
