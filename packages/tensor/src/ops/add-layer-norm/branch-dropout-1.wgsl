// Dropout of element i, as ops/dropout does it: word i % 4 of block i / 4 decides. For rows read one element at a time, so that
// each block is made four times; rows that are a multiple of four long are read in fours.
fn branch(i: u32, value: V) -> V {
  let u = uniform4(random4(params.seed, params.first_block, i / 4u))[i % 4u];
  return select(0.0, value * params.dropout_scale, u >= params.p);
}
