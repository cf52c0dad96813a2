// y = apply(a, b) for tensors without gaps, four elements at a time; a workgroup takes 256 groups of four in each of its rounds. With
// REPEAT, b is repeated every `period` groups (a bias row under a matrix).
struct Params { groups: u32, rounds: u32, a_offset: u32, b_offset: u32, period: u32, s: u32, t: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<A>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<B>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Y>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let first = (w.x + w.y * n.x) * 256u * params.rounds;
  let end = min(first + 256u * params.rounds, params.groups);
  for (var i = first + l; i < end; i += 256u) {
    var j = i;
    if (REPEAT) { j = i % params.period; }
    y[i] = vec4<Y>(apply(C(a[i + params.a_offset]), C(b[j + params.b_offset]), bitcast<S>(params.s), bitcast<S>(params.t)));
  }
}
