// Adam, step 1 of 2: one dispatch a tensor. A model of 104 tensors needs 104 of them, most over a few hundred numbers.
struct Params { groups: u32, p0: u32, p1: u32, p2: u32, hyper: Hyper }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> p: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.groups) { return; }
  let r = adam(params.hyper, p[i], g[i], m[i], v[i]);
  p[i] = r.p;
  m[i] = r.m;
  v[i] = r.v;
}
