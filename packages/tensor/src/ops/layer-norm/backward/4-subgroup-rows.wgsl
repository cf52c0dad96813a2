// layer norm backward, step 4 of 5: dx of one row a subgroup of SUBGROUP lanes, 64 / SUBGROUP rows a workgroup.
// Adds to step 3: no barrier and no workgroup memory; short rows leave no invocation without work.
// Needs: subgroups of one size that the adapter names.
// Measured, CPU time: 1024x384 f32 takes 1.5 ms on llvmpipe (3.15 GB/s; a copy of as many bytes 0.83 ms), 10.8 ms on SwiftShader (4.35 ms).
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
  let stat = stats[min(row, params.rows - 1u)];
  let mean = stat.x;
  let rstd = stat.y;
  var gradients = V(0.0);
  var products = V(0.0);
  for (var i = index; i < length; i += SUBGROUP) {
    let gradient = weighted_gradient(base + i, i);
    gradients += gradient;
    products += gradient * normalised_at(base + i, mean, rstd);
  }
  let mean_gradient = subgroupAdd(total(gradients)) * params.scale;
  let mean_product = subgroupAdd(total(products)) * params.scale;
  for (var i = index; i < length; i += SUBGROUP) {
    let gradient = weighted_gradient(base + i, i);
    leave(base + i, rstd * (gradient - mean_gradient - normalised_at(base + i, mean, rstd) * mean_product));
  }
}
