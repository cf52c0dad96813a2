// What every program of layer norm shares. `length` and offsets count Elements. stats[row] = (mean, 1 / sqrt(variance + eps)), kept for backward.
struct Params {
  rows: u32, length: u32, x_offset: u32, weight_offset: u32, bias_offset: u32, residual_offset: u32,
  scale: f32,  // 1 / number of elements of a row
  eps: f32,
  seed: vec2<u32>, first_block: vec2<u32>, p: f32, dropout_scale: f32,  // of the dropout on x, if there is one
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<Elements>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> weight: array<Weights>;
@group(0) @binding(5) var<storage, read> bias: array<Weights>;

fn weight_at(column: u32) -> V {
  if (WEIGHT) { return V(weight[params.weight_offset + column]); }
  return V(1.0);
}
fn bias_at(column: u32) -> V {
  if (BIAS) { return V(bias[params.bias_offset + column]); }
  return V(0.0);
}
fn affine(normalised: V, column: u32) -> V { return normalised * weight_at(column) + bias_at(column); }
