// AdamW, step 3 of 5: many tensors a dispatch. A stage binds few buffers (8 to 16), so the moments of all tensors lie in one and
// a dispatch takes as many tensors as there is room for: 7 at 16 buffers, 5 at 12, 3 at 8. `gradient`, `parameter` and
// `set_parameter` choose among the bindings; they are generated for the number of tensors.
// Measured: 16 dispatches in place of 104 (21 at 12 buffers), but llvmpipe 1.7 GB per CPU-second, SwiftShader 0.28: a choice is
// made for every load and store, and a software driver walks through all of its branches.
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  let step = this_step(part.tensor);
  let i = (group - part.begin) * 64u + l;
  if (i >= part.count || step.skip) { return; }
  let m_at = part.moments_at + i;
  let v_at = m_at + part.count;
  let r = adam(step, part.decay, parameter(part.tensor, i), gradient(part.tensor, i), moments[m_at], moments[v_at]);
  set_parameter(part.tensor, i, r.p);
  moments[m_at] = r.m;
  moments[v_at] = r.v;
}
