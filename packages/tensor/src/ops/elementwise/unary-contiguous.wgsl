// y = apply(x) for tensors without gaps, four elements at a time; a workgroup takes 256 groups of four in each of its rounds.
// Buffers are padded to 16 bytes, so the last group of four needs no bounds check.
struct Params { groups: u32, rounds: u32, x_offset: u32, s: u32, t: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<X>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<Y>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let first = (w.x + w.y * n.x) * 256u * params.rounds;
  let end = min(first + 256u * params.rounds, params.groups);
  for (var i = first + l; i < end; i += 256u) {
    y[i] = vec4<Y>(apply(C(x[i + params.x_offset]), bitcast<S>(params.s), bitcast<S>(params.t)));
  }
}
