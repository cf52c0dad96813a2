// What every program of layer norm's backward shares; `x` is what was normalised. With n = (x - mean) rstd and g = dy weight:  dx =
// rstd (g - mean(g) - n mean(g n)), means over the row.
struct Params {
  rows: u32, length: u32, x_offset: u32, dy_offset: u32, weight_offset: u32,
  scale: f32,  // 1 / number of elements of a row
  seed: vec2<u32>, first_block: vec2<u32>, p: f32, dropout_scale: f32,  // of the dropout on x, if there was one
  added_offset: u32,  // of what is added to dx, if anything is
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elements>;
@group(0) @binding(2) var<storage, read> dy: array<Elements>;
@group(0) @binding(3) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<Weights>;

fn weight_at(column: u32) -> V {
  if (WEIGHT) { return V(weight[params.weight_offset + column]); }
  return V(1.0);
}
fn weighted_gradient(at: u32, column: u32) -> V { return V(dy[params.dy_offset + at]) * weight_at(column); }
fn normalised_at(at: u32, mean: f32, rstd: f32) -> V { return (V(x[params.x_offset + at]) - mean) * rstd; }
