// GELU, step 3 of 4: F(-|x|) as one formula, where erf has one near 0 and one beyond, which vectors compute both.
// Needs: nothing.
// Measured, CPU time: 1024x1536 f32 takes 6.3 ms on llvmpipe (2 GB/s; a copy of as many bytes 2.56 ms), 16.1 ms on SwiftShader (11.5 ms).
const GROUP: u32 = 64u;  // Elements a workgroup works on

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * GROUP + l;
  if (i >= params.count) { return; }
  let value = C(x[params.offset + i]);
  let tail = lower_tail(value, exp(C(-0.5) * value * value));
  y[i] = Elements(value * select(tail, C(1.0) - tail, value > C(0.0)));
}
// What did not help: erf as one odd rational function of degree 13 / 8 on [-4, 4] (the coefficients of Eigen and XLA; no exp): 5.3 ms on
// llvmpipe and 19.5 on SwiftShader, as fast, but off by 1.3e-6 at x = -6, where the result is -9e-8.
