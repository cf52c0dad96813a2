// Gradients times a factor, in place, step 3 of 3: as many tensors a dispatch as an adapter binds buffers, but one; a workgroup
// goes over `length` times 64 vec4s. `gradient` and `set_gradient` choose among the bindings; they are generated.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  let factor = control[params.at];
  let begin = (group - part.begin) * 64u * params.length + l;
  for (var i = begin; i < min(begin + 64u * params.length, (part.count + 3u) / 4u); i += 64u) {
    set_gradient(part.tensor, i, gradient(part.tensor, i) * factor);
  }
}
