// matmul, step 9: step 3 with a name for every register.
// Adds to step 3: nothing for compilers that take an array with constant indices apart. SwiftShader's does not: it keeps arrays in
// memory, and each of the 256 fma of a round loads and stores its sum there. 16 vec4s with names stay in registers.
// Vector operations in place of components, since that compiler takes longer the more instructions there are.
// Needs: nothing. Workgroup 8 x 8, tile 64 x 64. Writes the sums of the rows of a too, as step 4 does.
// SwiftShader, 1024 x 384 x 384 f32, GFLOP per CPU-second (step 3, step 4 in the same run): a · b 2.05 (0.31, 0.42), a · bᵀ 2.17,
// aᵀ · b 2.21, a quarter and more of its peak. llvmpipe: a · b 6.2, a · bᵀ 4.9, aᵀ · b 6.3, less than step 3.

@compute @workgroup_size(WIDTH, HEIGHT)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y * 8u;
  let column = id.x * 8u;
  if (row >= params.m || column >= params.n) { return; }
  let batch = params.first_batch + id.z;
  let start = batch_starts(batch);
  let rows_0 = a_rows(start.x, row);
  let rows_1 = a_rows(start.x, row + 4u);
  let columns_0 = b_columns(start.y, column);
  let columns_1 = b_columns(start.y, column + 4u);
  let bias_0 = bias_block(column);
  let bias_1 = bias_block(column + 4u);

  // Left and right half of each of the 8 rows.
  var left_0 = bias_0;
  var right_0 = bias_1;
  var left_1 = bias_0;
  var right_1 = bias_1;
  var left_2 = bias_0;
  var right_2 = bias_1;
  var left_3 = bias_0;
  var right_3 = bias_1;
  var left_4 = bias_0;
  var right_4 = bias_1;
  var left_5 = bias_0;
  var right_5 = bias_1;
  var left_6 = bias_0;
  var right_6 = bias_1;
  var left_7 = bias_0;
  var right_7 = bias_1;
  var totals_0: vec4<f32>;
  var totals_1: vec4<f32>;
  let end = params.k;
  for (var k = 0u; k < end; k += 4u) {
    let x_0 = a_block(rows_0, k);
    let x_1 = a_block(rows_1, k);
    let y_0 = b_block(columns_0, k);
    let y_1 = b_block(columns_1, k);
    if (ROW_SUMS) {
      totals_0 += vec4<f32>(1.0) * x_0;
      totals_1 += vec4<f32>(1.0) * x_1;
    }
    left_0 += y_0 * x_0[0];
    right_0 += y_1 * x_0[0];
    left_1 += y_0 * x_0[1];
    right_1 += y_1 * x_0[1];
    left_2 += y_0 * x_0[2];
    right_2 += y_1 * x_0[2];
    left_3 += y_0 * x_0[3];
    right_3 += y_1 * x_0[3];
    left_4 += y_0 * x_1[0];
    right_4 += y_1 * x_1[0];
    left_5 += y_0 * x_1[1];
    right_5 += y_1 * x_1[1];
    left_6 += y_0 * x_1[2];
    right_6 += y_1 * x_1[2];
    left_7 += y_0 * x_1[3];
    right_7 += y_1 * x_1[3];
  }
  store_row(batch, row + 0u, column, left_0);
  store_row(batch, row + 0u, column + 4u, right_0);
  store_row(batch, row + 1u, column, left_1);
  store_row(batch, row + 1u, column + 4u, right_1);
  store_row(batch, row + 2u, column, left_2);
  store_row(batch, row + 2u, column + 4u, right_2);
  store_row(batch, row + 3u, column, left_3);
  store_row(batch, row + 3u, column + 4u, right_3);
  store_row(batch, row + 4u, column, left_4);
  store_row(batch, row + 4u, column + 4u, right_4);
  store_row(batch, row + 5u, column, left_5);
  store_row(batch, row + 5u, column + 4u, right_5);
  store_row(batch, row + 6u, column, left_6);
  store_row(batch, row + 6u, column + 4u, right_6);
  store_row(batch, row + 7u, column, left_7);
  store_row(batch, row + 7u, column + 4u, right_7);
  if (ROW_SUMS && column == 0u) {
    store_row_sums(row, totals_0);
    store_row_sums(row + 4u, totals_1);
  }
}
