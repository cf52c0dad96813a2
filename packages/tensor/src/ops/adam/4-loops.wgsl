// AdamW, step 4 of 5: a workgroup goes over LENGTH times 64 elements of its tensor, so that finding the tensor, and starting a
// workgroup, is paid for once for all of them. The choice of the bindings stands outside of the loop: each tensor has a loop of
// its own, made from that of the first by its number, and `update` chooses among them.
// Measured: llvmpipe 2.9 GB per CPU-second, SwiftShader 0.65; 0.5 s of CPU to compile on llvmpipe.
fn update0(part: Part, step: Step, first: u32, end: u32) {
  for (var i = first; i < end; i += 64u) {
    let m_at = part.moments_at + i;
    let v_at = m_at + part.count;
    var p = parameter0[i];
    var g = gradient0[i] * step.scale;
    if (DECOUPLED) { p -= part.decay * p; } else { g += part.decay * p; }
    let m = fma(params.one_minus_beta1, g - moments[m_at], moments[m_at]);
    let v = fma(params.one_minus_beta2 * g, g, params.beta2 * moments[v_at]);
    parameter0[i] = p - step.size * m / (sqrt(v) * step.inverse_root + params.eps);
    moments[m_at] = m;
    moments[v_at] = v;
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

// What did not help (llvmpipe): workgroups of 256 invocations 209 ms in place of 222; loops of 16 in place of 64 elements 222 ms.
