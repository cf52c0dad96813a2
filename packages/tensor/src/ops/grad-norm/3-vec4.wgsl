// Gradient norm, step 3 of 3: neighbouring invocations read neighbouring vec4s, so that a GPU's loads are joined; and each adds
// up as many as leave some 65,536 partial sums in all, since one workgroup adds those up in the end.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  if (group >= params.ends[params.last / 4u][params.last % 4u]) { return; }
  let begin = (group - part.begin) * 64u * params.length + l;
  let whole = part.count / 4u;
  var total = vec4<f32>();
  for (var i = begin; i < min(begin + 64u * params.length, whole); i += 64u) {
    let g = gradient(part.tensor, i);
    total = fma(g, g, total);
  }
  // The last vec4 of a tensor whose size is no multiple of four; what lies behind its end is not part of it.
  if (begin <= whole && whole < begin + 64u * params.length && (whole - begin) % 64u == 0u) {
    let g = gradient(part.tensor, whole);
    let rest = part.count % 4u;
    let inside = select(vec4<f32>(), g, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rest));
    total = fma(inside, inside, total);
  }
  partial[params.at + group * 64u + l] = (total.x + total.y) + (total.z + total.w);
}
