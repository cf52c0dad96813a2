// matmul, step 8: the matrix units of the adapter.
// Adds to step 5: the arithmetic on a tile is done by subgroupMatrixMultiplyAccumulate, on fragments of FRAGMENT_M x FRAGMENT_K and
// FRAGMENT_K x FRAGMENT_N (16 x 16 x 16 in f16 on most GPUs that have it), with sums in f32. A workgroup is one subgroup and
// makes SIDE x SIDE elements of y. Blocks come as in step 5 and are rounded to E, f16 or f32, on their way to workgroup memory.
// Needs: the feature chromium-experimental-subgroup-matrix with sums in f32, subgroups of a known size. f16 in at least one operand (the
// other is rounded to f16, as under PyTorch's autocast), or an adapter with f32 fragments.
// Not measured: no adapter at hand has it. Its text is checked by Dawn, its indices by running it with fragments in plain WGSL.

const LINE: u32 = SIDE / 4u;
const DOWN: u32 = SIDE / FRAGMENT_M;
const ACROSS: u32 = SIDE / FRAGMENT_N;

var<workgroup> a_tile: array<E, SIDE * DEPTH>;          // [row][k]
var<workgroup> b_tile: array<E, DEPTH * SIDE>;          // [k][column]
var<workgroup> results: array<f32, FRAGMENT_M * SIDE>;  // one row of fragments of y

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let batch = params.first_batch + group.z;
  let start = batch_starts(batch);
  let top = group.y * SIDE;
  let left_edge = group.x * SIDE;
  var sums: array<subgroup_matrix_result<f32, FRAGMENT_N, FRAGMENT_M>, DOWN * ACROSS>;
  let end = params.k;
  for (var k = 0u; k < end; k += DEPTH) {
    for (var block = index; block < LINE * DEPTH / 4u; block += LANES) {
      // Neighbours bring what lies side by side in memory.
      let a_line = select(block / (DEPTH / 4u), block % LINE, A_TRANSPOSED);
      let a_depth = 4u * select(block % (DEPTH / 4u), block / LINE, A_TRANSPOSED);
      var x = mat4x4<f32>();
      if (k + a_depth < end) { x = a_block(a_rows(start.x, top + 4u * a_line), k + a_depth); }
      let b_line = select(block % LINE, block / (DEPTH / 4u), B_TRANSPOSED);
      let b_depth = 4u * select(block / LINE, block % (DEPTH / 4u), B_TRANSPOSED);
      var y = mat4x4<f32>();
      if (k + b_depth < end) { y = b_block(b_columns(start.y, left_edge + 4u * b_line), k + b_depth); }
      for (var i = 0u; i < 4u; i++) {
        for (var j = 0u; j < 4u; j++) {
          a_tile[(4u * a_line + i) * DEPTH + a_depth + j] = E(x[i][j]);
          b_tile[(b_depth + i) * SIDE + 4u * b_line + j] = E(y[i][j]);
        }
      }
    }
    workgroupBarrier();
    for (var d = 0u; d < DEPTH; d += FRAGMENT_K) {
      var rows: array<subgroup_matrix_left<E, FRAGMENT_K, FRAGMENT_M>, DOWN>;
      for (var i = 0u; i < DOWN; i++) {
        rows[i] = subgroupMatrixLoad<subgroup_matrix_left<E, FRAGMENT_K, FRAGMENT_M>>(&a_tile, i * FRAGMENT_M * DEPTH + d, false, DEPTH);
      }
      for (var j = 0u; j < ACROSS; j++) {
        let columns = subgroupMatrixLoad<subgroup_matrix_right<E, FRAGMENT_N, FRAGMENT_K>>(&b_tile, d * SIDE + j * FRAGMENT_N, false, SIDE);
        for (var i = 0u; i < DOWN; i++) {
          sums[i * ACROSS + j] = subgroupMatrixMultiplyAccumulate(rows[i], columns, sums[i * ACROSS + j]);
        }
      }
    }
    workgroupBarrier();
  }
  // Through workgroup memory, because which element of a fragment a lane holds is the adapter's own affair.
  for (var i = 0u; i < DOWN; i++) {
    for (var j = 0u; j < ACROSS; j++) {
      subgroupMatrixStore(&results, j * FRAGMENT_N, sums[i * ACROSS + j], false, SIDE);
    }
    workgroupBarrier();
    for (var at = index; at < FRAGMENT_M * LINE; at += LANES) {
      let row = at / LINE;
      let p = row * SIDE + 4u * (at % LINE);
      let column = left_edge + 4u * (at % LINE);
      let sum = vec4<f32>(results[p], results[p + 1u], results[p + 2u], results[p + 3u]);
      store_row(batch, top + i * FRAGMENT_M + row, column, sum + bias_block(column));
    }
    workgroupBarrier();
  }
}
