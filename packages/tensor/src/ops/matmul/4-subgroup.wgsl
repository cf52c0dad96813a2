// matmul, step 4: a subgroup shares its loads without memory.
// Adds to step 3: 8 lanes make 32 x 32 elements of y together. In each round of 4 k every lane loads a block of 4 x 4 of a
// and one of b (8 vec4s), then each of the 32 rows of a is handed round with subgroupShuffle and multiplied with the lane's
// own 4 columns: 64 fma a load, against 16 in step 3.
// Needs: subgroups of a known size: 8 lanes or a multiple (each 8 lanes work on a tile of their own), or 4 (tiles of 16 x 16).
// Teams of lanes make tiles side by side, or one below the other (DOWN), so that step 6 is this kernel with LANES 4.
// A workgroup is one subgroup and lanes go by their number in it, so how invocations are numbered does not matter.
// llvmpipe, GFLOP per CPU-second (step 3 in the same run): 512 x 512 x 512 f32 a · b 24 (6.4), a · bᵀ 23 (7.1), aᵀ · b 26 (6.6);
// 1024 x 768 x 768 f32 27, f16 29; any strides 16. A round of 4 k costs some 370 cycles of loads and as much again of
// arithmetic; fma alone peaks at 46.
// With LANES 4 it is step 6, for products of at most 16 rows or columns: 16 x 1024 x 384 12.7 against 10.3.

const TILE: u32 = 4u * LANES;

@compute @workgroup_size(LANES * TEAMS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) invocation: u32) {
  let lane = invocation % LANES;
  let first = invocation - lane;
  let batch = params.first_batch + group.z;
  let team = invocation / LANES;
  let row = (select(group.y, group.y * TEAMS + team, DOWN)) * TILE;
  let column = select(group.x * TEAMS + team, group.x, DOWN) * TILE + 4u * lane;
  let start = batch_starts(batch);
  let rows = a_rows(start.x, row + 4u * lane);
  let columns = b_columns(start.y, column);

  let bias = bias_block(column);
  var sums: array<vec4<f32>, TILE>;
  for (var i = 0u; i < TILE; i++) { sums[i] = bias; }
  if (SECOND) { add_second(&sums, row, column, lane, first); }
  var totals: vec4<f32>;
  let end = params.k;
  for (var k = 0u; k < end; k += 4u) {
    let x = a_block(rows, k);
    let y = b_block(columns, k);
    if (ROW_SUMS) { totals += vec4<f32>(1.0) * x; }
    for (var i = 0u; i < TILE; i++) { sums[i] = accumulate(sums[i], subgroupShuffle(x[i % 4u], first + i / 4u), y); }
  }
  // A loop that cannot be unrolled, so that the epilogue is compiled once and not for every row. The rows are taken out by
  // comparison: an index that varies would push `sums` out of registers.
  let blocks = (min(TILE, params.m - min(row, params.m)) + BLOCK - 1u) / BLOCK;
  for (var block = 0u; block < blocks; block++) {
    for (var i = 0u; i < BLOCK; i++) {
      var sum = sums[i];
      for (var j = 1u; j < TILE / BLOCK; j++) { sum = select(sum, sums[j * BLOCK + i], j == block); }
      store_row(batch, row + block * BLOCK + i, column, sum);
    }
  }
  if (ROW_SUMS && column < TILE) { store_row_sums(row + 4u * lane, totals); }
}

// What did not help, on llvmpipe at 1024 x 768 x 768 (GFLOP per CPU-second, best of 9; this file: 28 to 30 in the same runs):
//   tile 16 x 32 instead of 32 x 32          17 to 22, a third of the compile time
//   tile 8 x 32                              10
//   tile 64 x 32                             17, 3.6 s to compile instead of 1.1
//   tile 32 x 64                             17, 4.4 s to compile
//   vec4 fma in `accumulate`                 22 to 24
//   workgroups of 32 or 64                   26, 22 to 26 (on subgroups of 8)
//   sizes as constants instead of params     30: no difference
//   the 32 rows written out, subgroupBroadcast with literal lanes: no difference
//   one element a load instead of a vec4     20 (that is `blocks-strided.wgsl`)
//   every row stored by code of its own     as fast, twice the compile time: 1.3 s in place of 0.6 without any epilogue
//   the row to store taken from a copy of `sums` by index: 20 to 30% slower
//   rows stored 4 at a time, not 8          a · b 23 in place of 28, a · bᵀ 28 in place of 23: the compiler spills other registers
//   gelu by the one formula of `../gelu/tail.wgsl`: a · b 19 in place of 24, for the smaller loop of stores is unrolled again
//   the length of that loop as a parameter   a · b 25 in place of 23, a · bᵀ 24 in place of 26, aᵀ · b 18 in place of 26
//   rounds of 8 k                           14 to 16, and 1.0 to 2.1 s to compile: the loop leaves the instruction cache
//   tiles in bands of 4 or 8 columns        no difference that shows in the noise (caches hold what the rows of tiles share)
//   loops over the four rows of a block inside `a_block` and `b_block`: 6, because they are not unrolled
