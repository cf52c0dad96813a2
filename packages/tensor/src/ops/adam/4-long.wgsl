// AdamW, step 4 of 4: a workgroup goes over LENGTH times 64 vec4s of its tensor, so that finding the tensor, and starting a
// workgroup, is paid for once for all of them.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  let step = this_step(part.tensor);
  if (step.skip) { return; }
  let first = (group - part.begin) * 64u * LENGTH + l;
  for (var i = first; i < min(first + 64u * LENGTH, part.count); i += 64u) {
    let m_at = part.moments_at + i;
    let v_at = m_at + part.count;
    let r = adam(step, part.decay, parameter(part.tensor, i), gradient(part.tensor, i), moments[m_at], moments[v_at]);
    set_parameter(part.tensor, i, r.p);
    moments[m_at] = r.m;
    moments[v_at] = r.v;
  }
}
