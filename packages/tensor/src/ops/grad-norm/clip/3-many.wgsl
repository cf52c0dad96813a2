// Gradients times a factor, in place, step 3 of 3: as many tensors a dispatch as an adapter binds buffers, but one; a workgroup
// goes over `length` times 64 vec4s of its tensor. Each tensor has a loop of its own, made from that of the first by its
// number, and `scale` chooses among them.
// Measured: 7 dispatches in place of 104; llvmpipe 4.2 GB per CPU-second, SwiftShader 0.58.
fn scale0(factor: f32, first: u32, end: u32) {
  for (var i = first; i < end; i += 64u) { gradient0[i] *= factor; }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  let first = (group - part.begin) * 64u * params.length;
  scale(part.tensor, control[params.at], first + l, min(first + 64u * params.length, (part.count + 3u) / 4u));
}
