// layer norm backward, step 1 of 5: dx of one row an invocation, two passes over it (the two means, result).
// Needs: nothing.
// Measured, CPU time: 1024x384 f32 takes 1.66 ms on llvmpipe (2.85 GB/s; a copy of as many bytes 0.83 ms), 12.5 ms on SwiftShader (4.35 ms).
const GROUP_ROWS: u32 = 64u;  // rows a workgroup works on

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let row = (w.x + w.y * n.x) * 64u + l;
  if (row >= params.rows) { return; }
  let base = row * params.length;
  let mean = stats[row].x;
  let rstd = stats[row].y;
  var gradients = V(0.0);
  var products = V(0.0);
  for (var i = 0u; i < params.length; i++) {
    let gradient = weighted_gradient(base + i, i);
    gradients += gradient;
    products += gradient * normalised_at(base + i, mean, rstd);
  }
  let mean_gradient = total(gradients) * params.scale;
  let mean_product = total(products) * params.scale;
  for (var i = 0u; i < params.length; i++) {
    let gradient = weighted_gradient(base + i, i);
    leave(base + i, rstd * (gradient - mean_gradient - normalised_at(base + i, mean, rstd) * mean_product));
  }
}
