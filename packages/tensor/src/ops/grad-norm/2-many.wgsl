// Gradient norm, step 2 of 4: as many tensors a dispatch as an adapter binds buffers, but one: 15 at 16, 11 at 12, 7 at 8.
// `gradient` chooses among the bindings; it is generated for the number of tensors.
// Measured: 8 dispatches in place of 105 (11 at 12 buffers), but llvmpipe 0.5 GB per CPU-second, SwiftShader 0.07: a software driver
// walks through all branches of the choice for every element.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  if (group >= params.ends[params.last / 4u][params.last % 4u]) { return; }
  let begin = ((group - part.begin) * 64u + l) * params.length;
  var total = 0.0;
  for (var i = begin; i < min(begin + params.length, part.count); i++) {
    let g = gradient(part.tensor, i);
    total = fma(g, g, total);
  }
  partial[params.at + group * 64u + l] = total;
}
