// softmax, step 4 of 6: one row an invocation, maximum and sum in one pass, result in a second.
// Adds to step 1: two reads of the row in place of three; the sum so far is rescaled whenever the maximum grows.
// Elements of a row stand `inner` apart, as in step 1.
// No barriers, so that this is the step for software drivers; a GPU needs more rows than it has lanes for it to pay.
// Needs: nothing.
// Measured, CPU time: 2048x512 f32 takes 3.23 ms on llvmpipe (2.59 GB/s; a copy of as many bytes 1.32 ms), 20.9 ms on SwiftShader (6.43 ms).
const GROUP_ROWS: u32 = 64u;  // rows a workgroup works on

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let row = (w.x + w.y * n.x) * 64u + l;
  if (row >= params.rows) { return; }
  let base = row / params.inner * params.length * params.inner + row % params.inner;
  let first = params.offset + base;
  var largest = LOWEST;
  var sum = 0.0;
  for (var i = 0u; i < params.length; i++) {
    let values = V(x[first + i * params.inner]);
    let larger = max(largest, highest(values));
    sum = sum * exp(largest - larger) + total(exp(values - larger));
    largest = larger;
  }
  let factor = 1.0 / sum;
  let logarithm = log(sum);
  for (var i = 0u; i < params.length; i++) {
    let shifted = V(x[first + i * params.inner]) - largest;
    if (LOG) {
      y[base + i * params.inner] = Elements(shifted - logarithm);
    } else {
      y[base + i * params.inner] = Elements(exp(shifted) * factor);
    }
  }
}
