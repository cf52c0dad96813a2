// layer norm, step 5 of 6: one row a subgroup of SUBGROUP lanes, 64 / SUBGROUP rows a workgroup.
// Adds to step 3: no barrier and no workgroup memory; short rows leave no invocation without work.
// Needs: subgroups of one size that the adapter names.
// Measured, CPU time: 1024x384 f32 takes 1.36 ms on llvmpipe (2.31 GB/s; a copy of as many bytes 0.56 ms), 10.7 ms on SwiftShader (3.59 ms).
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
  var sums = V(0.0);
  for (var i = index; i < length; i += SUBGROUP) { sums += first_value(base + i); }
  let mean = subgroupAdd(total(sums)) * params.scale;
  var squares = V(0.0);
  for (var i = index; i < length; i += SUBGROUP) {
    let difference = value_at(base + i) - mean;
    squares += difference * difference;
  }
  let rstd = 1.0 / sqrt(subgroupAdd(total(squares)) * params.scale + params.eps);
  if (index == 0u && row < params.rows) { stats[row] = vec2(mean, rstd); }
  for (var i = index; i < length; i += SUBGROUP) {
    let value = value_at(base + i);
    y[base + i] = Elements(affine((value - mean) * rstd, i));
  }
}
