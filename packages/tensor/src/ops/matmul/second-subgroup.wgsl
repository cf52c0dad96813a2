// The second pair of operands for step 4 (and 6): the same rounds, before those of the first pair.
fn add_second(sums: ptr<function, array<vec4<f32>, TILE>>, row: u32, column: u32, lane: u32, first: u32) {
  let rows = c_rows(row + 4u * lane);
  let columns = d_columns(column);
  var kept = vec4<u32>();
  if (DROPS) {
    let count = TILE * min(params.m, 1u);
    for (var i = 0u; i < count; i++) { kept |= kept_at(i, row + i, column); }
  }
  for (var k = 0u; k < params.k_2; k += 4u) {
    let x = c_block(rows, k);
    let y = d_block(columns, k);
    for (var i = 0u; i < TILE; i++) {
      (*sums)[i] = added((*sums)[i], subgroupShuffle(x[i % 4u], first + i / 4u), y, kept, i);
    }
  }
}
