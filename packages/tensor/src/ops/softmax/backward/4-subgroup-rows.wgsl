// softmax backward, step 4 of 5: one row a subgroup of SUBGROUP lanes, 64 / SUBGROUP rows a workgroup.
// Adds to step 3: no barrier and no workgroup memory; short rows leave no invocation without work.
// Needs: subgroups of one size that the adapter names.
// Measured, CPU time: 2048x512 f32 takes 2.67 ms on llvmpipe (4.72 GB/s; a copy of as many bytes 2.04 ms), 22.9 ms on SwiftShader (12.1 ms).
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) w: vec3<u32>,
  @builtin(num_workgroups) n: vec3<u32>,
  @builtin(local_invocation_index) l: u32,
  @builtin(subgroup_invocation_id) index: u32,
) {
  let row = ((w.x + w.y * n.x) * 64u + l) / SUBGROUP;
  let base = row * params.length;
  let end = select(0u, base + params.length, row < params.rows);
  var sums = V(0.0);
  for (var i = base + index; i < end; i += SUBGROUP) {
    let gradient = V(dy[params.dy_offset + i]);
    if (LOG) { sums += gradient; } else { sums += gradient * V(y[params.y_offset + i]); }
  }
  let sum = subgroupAdd(total(sums));
  for (var i = base + index; i < end; i += SUBGROUP) {
    let gradient = V(dy[params.dy_offset + i]);
    let value = V(y[params.y_offset + i]);
    if (LOG) { dx[i] = Elements(gradient - exp(value) * sum); } else { dx[i] = Elements(value * (gradient - sum)); }
  }
}
