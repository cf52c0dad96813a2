@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_invocation_id) invocation: u32,
) {
  let lane = invocation % LANES;
  let first = invocation - lane;
  let batch = params.first_batch + group.z;
  let row = group.y * TILE;
  let column = (group.x * (WORKGROUP / LANES) + index / LANES) * TILE + 4u * lane;
  let start = batch_starts(batch);
  let rows = a_rows(start.x, row + 4u * lane);
  let columns = b_columns(start.y, column);

  let bias = bias_block(column);
  var sums: array<vec4<f32>, TILE>;
  for (var i = 0u; i < TILE; i++) { sums[i] = bias; }
  let end = params.k;
  for (var k = 0u; k < end; k += 4u) {
    let x = a_block(rows, k);
    let y = b_block(columns, k);
    for (var i = 0u; i < TILE; i++) { sums[i] = accumulate(sums[i], subgroupShuffle(x[i % 4u], first + i / 4u), y); }
  }
  for (var i = 0u; i < TILE; i++) { store_row(batch, row + i, column, sums[i]); }
}
const TILE: u32 = 4u * LANES;
