// The sum of each row of a over k, as a by-product of loading it: in dW = dYᵀ · X that is the gradient of the bias.
@group(0) @binding(6) var<storage, read_write> row_sums: array<TY>;

fn store_row_sums(row: u32, totals: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) {
    if (row + i < params.m) { row_sums[row + i] = TY(totals[i]); }
  }
}
