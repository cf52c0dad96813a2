// Layer norm in one sweep that hardly cancels: sums of d = x - c and of d^2. With c an element of the row itself (the
// highest of the first four), d is of the size of the row's deviation, whatever its mean; only a row in which c lies far from all
// others loses digits.
const GROUP_ROWS: u32 = 64u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let row = (w.x + w.y * n.x) * GROUP_ROWS + l;
  if (row >= params.rows) { return; }
  let base = row * params.length;
  let first = V(highest(first_value(base)));
  var sums = V(0.0);
  var squares = V(0.0);
  for (var i = 0u; i < params.length; i++) {
    let difference = first_value(base + i) - first;
    sums += difference;
    squares += difference * difference;
  }
  let shift = total(sums) * params.scale;
  let mean = shift + highest(first);
  let variance = total(squares) * params.scale - shift * shift;
  let rstd = 1.0 / sqrt(variance + params.eps);
  stats[row] = vec2(mean, rstd);
  for (var i = 0u; i < params.length; i++) {
    let value = value_at(base + i);
    y[base + i] = Elements(affine((value - mean) * rstd, i));
  }
}
