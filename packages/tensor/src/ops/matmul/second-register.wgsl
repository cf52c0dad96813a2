// The second pair of operands for steps 3 and 5: blocks of 4 x 4 straight from storage, for the few rounds that there are.
// rows: where the two groups of four rows begin; columns: where the two groups of four columns begin.
fn add_second(sums: ptr<function, array<vec4<f32>, 16>>, rows: vec2<u32>, columns: vec2<u32>) {
  let rows_0 = c_rows(rows.x);
  let rows_1 = c_rows(rows.y);
  let columns_0 = d_columns(columns.x);
  let columns_1 = d_columns(columns.y);
  var kept = vec4<u32>();
  if (DROPS) {
    let count = 16u * min(params.m, 1u);
    for (var i = 0u; i < count; i++) {
      let row = select(rows.x, rows.y, i / 4u % 2u == 1u) + i % 4u;
      kept |= kept_at(i, row, select(columns.x, columns.y, i >= 8u));
    }
  }
  for (var k = 0u; k < params.k_2; k += 4u) {
    let x_0 = c_block(rows_0, k);
    let x_1 = c_block(rows_1, k);
    let y_0 = d_block(columns_0, k);
    let y_1 = d_block(columns_1, k);
    for (var i = 0u; i < 4u; i++) {
      (*sums)[i] = added((*sums)[i], x_0[i], y_0, kept, i);
      (*sums)[4u + i] = added((*sums)[4u + i], x_1[i], y_0, kept, 4u + i);
      (*sums)[8u + i] = added((*sums)[8u + i], x_0[i], y_1, kept, 8u + i);
      (*sums)[12u + i] = added((*sums)[12u + i], x_1[i], y_1, kept, 12u + i);
    }
  }
}
