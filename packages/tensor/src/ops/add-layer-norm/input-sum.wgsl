// What is normalised is x + residual; the sum is stored for backward if SAVE.
@group(0) @binding(1) var<storage, read> x: array<Elements>;
@group(0) @binding(6) var<storage, read> residual: array<Elements>;
@group(0) @binding(7) var<storage, read_write> sum: array<Elements>;
fn value_at(i: u32) -> V { return V(x[params.x_offset + i]) + V(residual[params.residual_offset + i]); }
fn keep(i: u32, value: V) {
  if (SAVE) { sum[i] = Elements(value); }
}
