// GELU backward, step 5 of 5: an invocation takes 16 groups of four, one after the other, 256 apart.
// Adds to step 4: fewer invocations, whose beginning and end cost a software driver more than the formula.
// Needs: nothing.
// Measured, CPU time: 1024x1536 f32 takes 5.15 ms on llvmpipe (3.66 GB/s; a copy of as many bytes 3.56 ms), 22.6 ms on SwiftShader (14.2 ms).
const GROUP: u32 = 4096u;  // Elements a workgroup works on

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let first = (w.x + w.y * n.x) * GROUP;
  let end = min(first + GROUP, params.count);
  for (var i = first + l; i < end; i += 256u) {
    let value = C(x[params.x_offset + i]);
    let e = exp(C(-0.5) * value * value);
    let tail = lower_tail(value, e);
    let cdf = select(tail, C(1.0) - tail, value > C(0.0));
    dx[i] = Elements(C(dy[params.dy_offset + i]) * fma(value * C(0.3989422804), e, cdf));
  }
}
// What did not help: 64 invocations a workgroup and 64 elements each, 4.7 ms, but 25.0 on SwiftShader; 256 and 4, 4.9 on llvmpipe.
