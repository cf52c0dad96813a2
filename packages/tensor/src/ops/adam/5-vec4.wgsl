// AdamW, step 5 of 5: step 4 on four elements at a time: loads and stores of 16 bytes, a quarter of the addresses to compute. Its
// seven loops over vec4s take long to compile on a software driver, so small models keep step 4.
// Measured: llvmpipe 4.2 to 5.6 GB per CPU-second, SwiftShader 0.73; 2.5 s of CPU to compile on llvmpipe.
fn update0(part: Part, step: Step, first: u32, end: u32) {
  for (var i = first; i < end; i += 64u) {
    let m_at = part.moments_at + i;
    let v_at = m_at + part.count;
    let r = adam(step, part.decay, parameter0[i], gradient0[i], moments[m_at], moments[v_at]);
    parameter0[i] = r.p;
    moments[m_at] = r.m;
    moments[v_at] = r.v;
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = w.x + w.y * n.x;
  let part = part_of(group);
  let step = this_step(part.tensor);
  if (step.skip) { return; }
  let first = (group - part.begin) * 64u * LENGTH;
  update(part.tensor, part, step, first + l, min(first + 64u * LENGTH, part.count));
}

// What did not help (llvmpipe): step 3's choice at every access, in a loop of 16 vec4s, 157 ms, of 64, 144 ms, in place of 113 to 135
// here, and 2 s of CPU to compile all the same.
