// softmax, step 5 of 6: one row a subgroup of SUBGROUP lanes, 64 / SUBGROUP rows a workgroup.
// Adds to step 3: no barrier and no workgroup memory; short rows leave no invocation without work.
// Needs: subgroups of one size that the adapter names.
// Measured, CPU time: 2048x512 f32 takes 3.41 ms on llvmpipe (2.46 GB/s; a copy of as many bytes 1.32 ms), 16.2 ms on SwiftShader (6.43 ms).
// No return before the reductions: a subgroup without a row takes part with nothing.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) w: vec3<u32>,
  @builtin(num_workgroups) n: vec3<u32>,
  @builtin(local_invocation_index) l: u32,
  @builtin(subgroup_invocation_id) index: u32,
) {
  let row = ((w.x + w.y * n.x) * 64u + l) / SUBGROUP;
  let length = select(0u, params.length, row < params.rows);
  let base = row * params.length;
  let first = params.offset + base;
  var largest = LOWEST;
  var part = 0.0;
  for (var i = index; i < length; i += SUBGROUP) {
    let values = V(x[first + i]);
    let larger = max(largest, highest(values));
    part = part * exp(largest - larger) + total(exp(values - larger));
    largest = larger;
  }
  let maximum = subgroupMax(largest);
  let sum = subgroupAdd(part * exp(largest - maximum));
  for (var i = index; i < length; i += SUBGROUP) {
    let shifted = V(x[first + i]) - maximum;
    if (LOG) { y[base + i] = Elements(shifted - log(sum)); } else { y[base + i] = Elements(exp(shifted) / sum); }
  }
}
