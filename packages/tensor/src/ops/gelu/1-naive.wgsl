// GELU, step 1 of 4: y = x F(x), F the normal distribution function by erf. One element an invocation.
// Needs: nothing.
// Measured on llvmpipe, 2 cores: 1024x1536 f32 in 16.3 ms of CPU time, 0.77 GB/s (28% of a copy).
const GROUP: u32 = 64u;  // Elements a workgroup works on

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * GROUP + l;
  if (i >= params.count) { return; }
  let value = C(x[params.offset + i]);
  y[i] = Elements(value * normal_cdf(value));
}
