// matmul, step 3: 8 x 8 elements of y an invocation, in registers.
// Adds to step 2: a value that is loaded is used 8 times without ever being shared: no workgroup memory, no barriers. Loads
// are vec4s where the operands allow it (`blocks-vec4.wgsl`, else `blocks-strided.wgsl`): 16 of them for 256 fma.
// Needs: nothing; the loops over `sums` have constant bounds, so the driver can unroll them. Workgroup 8 x 8, tile 64 x 64.
// llvmpipe, 1024 x 768 x 768, f32: 7.3 GFLOP per CPU-second, 4.2 with strided loads. Bound by loads.

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

  // sums[i] and sums[8 + i]: left and right half of row i.
  var sums: array<vec4<f32>, 16>;
  for (var i = 0u; i < 8u; i++) {
    sums[i] = bias_0;
    sums[8u + i] = bias_1;
  }
  if (SECOND) { add_second(&sums, vec2<u32>(row, row + 4u), vec2<u32>(column, column + 4u)); }
  let end = params.k;
  for (var k = 0u; k < end; k += 4u) {
    let x_0 = a_block(rows_0, k);
    let x_1 = a_block(rows_1, k);
    let y_0 = b_block(columns_0, k);
    let y_1 = b_block(columns_1, k);
    for (var i = 0u; i < 4u; i++) {
      sums[i] = accumulate(sums[i], x_0[i], y_0);
      sums[4u + i] = accumulate(sums[4u + i], x_1[i], y_0);
      sums[8u + i] = accumulate(sums[8u + i], x_0[i], y_1);
      sums[12u + i] = accumulate(sums[12u + i], x_1[i], y_1);
    }
  }
  // A loop that cannot be unrolled, so that the epilogue is compiled once and not 16 times. The rows are taken out by
  // comparison: an index that varies would push `sums` out of registers.
  let halves = 16u * min(params.m, 1u);
  for (var i = 0u; i < halves; i++) {
    var sum = sums[0];
    for (var j = 1u; j < 16u; j++) { sum = select(sum, sums[j], i == j); }
    store_row(batch, row + i % 8u, column + i / 8u * 4u, sum);
  }
}

// What did not help, on llvmpipe:
//   both halves of a row stored in one turn of the last loop: as fast, 2.6 s to compile in place of 1.1
//   every store written out: as fast, 1.9 to 3.0 s to compile
