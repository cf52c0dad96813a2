// Gradient norm, step 3 of 4: the choice of the binding stands outside of the loop: each tensor has a loop of its own, made from
// that of the first by its number, and `sum_of` chooses among them.
// Measured: llvmpipe 1.9 GB per CPU-second, SwiftShader 0.30.
fn sum_of0(begin: u32, end: u32) -> f32 {
  var total = 0.0;
  for (var i = begin; i < end; i++) { total = fma(gradient0[i], gradient0[i], total); }
  return total;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  if (group >= params.ends[params.last / 4u][params.last % 4u]) { return; }
  let begin = ((group - part.begin) * 64u + l) * params.length;
  partial[params.at + group * 64u + l] = sum_of(part.tensor, begin, min(begin + params.length, part.count));
}
