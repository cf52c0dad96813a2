// Dropout of elements 4 i to 4 i + 3, as ops/dropout does it: the words of block i decide.
fn branch(i: u32, value: V) -> V {
  let u = uniform4(random4(params.seed, params.first_block, i));
  return select(V(0.0), value * params.dropout_scale, u >= V(params.p));
}
