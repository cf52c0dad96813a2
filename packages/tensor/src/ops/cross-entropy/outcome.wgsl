// state[row] = (maximum, log(sum(exp(x - maximum))), sum of q, 1 if the row counts and 0 if it is ignored), for backward.
@group(0) @binding(4) var<storage, read_write> state: array<vec4<f32>>;

// Stores the state of a row. Returns its loss, and what it counts in the mean.
fn outcome(row: u32, label: i32, maximum: f32, logarithm: f32, sum_of_losses: f32, sum_of_shares: f32) -> vec2<f32> {
  var row_loss = sum_of_losses;
  var row_mass = 1.0;
  var shares = sum_of_shares;
  var counts = 1.0;
  if (!SOFT) {
    if (label == params.ignore_index) {
      row_loss = 0.0;
      row_mass = 0.0;
      counts = 0.0;
    } else if (is_valid(label)) {
      row_mass = class_weight(u32(label));
      if (!SPREAD) {
        shares = row_mass;
        row_loss = row_mass * ((maximum - logit(row, u32(label))) + logarithm);
      }
    } else {
      // No class has this id. A GPU cannot throw, so the loss says it.
      row_loss = params.nan;
      shares = params.nan;
    }
  }
  state[row] = vec4(maximum, logarithm, shares, counts);
  return vec2(row_loss, row_mass);
}
