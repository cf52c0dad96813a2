// loss[row], and mass[row] = what the row counts in the mean. `leave` stores both, and what backward needs.
@group(0) @binding(5) var<storage, read_write> loss: array<f32>;
@group(0) @binding(6) var<storage, read_write> mass: array<f32>;

fn leave(row: u32, label: i32, maximum: f32, logarithm: f32, sum_of_losses: f32, sum_of_shares: f32) {
  let found = outcome(row, label, maximum, logarithm, sum_of_losses, sum_of_shares);
  loss[row] = found.x;
  mass[row] = found.y;
}
