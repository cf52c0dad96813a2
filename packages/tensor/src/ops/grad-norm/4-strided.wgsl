// Gradient norm, step 4 of 4: neighbouring invocations read neighbouring elements, so that a GPU's loads are joined; and each adds
// up as many as leave some 65,536 partial sums in all, since one workgroup adds those up in the end.
// Measured: llvmpipe 2.0 GB per CPU-second, SwiftShader 0.29.
fn sum_of0(first: u32, end: u32) -> f32 {
  var total = 0.0;
  for (var i = first; i < end; i += 64u) { total = fma(gradient0[i], gradient0[i], total); }
  return total;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  if (group >= params.ends[params.last / 4u][params.last % 4u]) { return; }
  let first = (group - part.begin) * 64u * params.length;
  partial[params.at + group * 64u + l] = sum_of(part.tensor, first + l, min(first + 64u * params.length, part.count));
}

// What did not help: loops over vec4s reach 3.8 GB per CPU-second on llvmpipe (24 ms in place of 43), but take 1.7 s of CPU to compile
// in place of 0.25, which 90 steps would have to pay back.
