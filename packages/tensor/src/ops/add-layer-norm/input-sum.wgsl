// What is normalised is branch(x) + residual, where branch is dropout or nothing. The first pass over a row stores the sum if KEEP
// (backward needs it, and numbers drawn at random are not drawn twice); later passes read what the same invocation stored.
@group(0) @binding(1) var<storage, read> x: array<Elements>;
@group(0) @binding(6) var<storage, read> residual: array<Elements>;
@group(0) @binding(7) var<storage, read_write> sum: array<Elements>;
fn sum_at(i: u32) -> V { return branch(i, V(x[params.x_offset + i])) + V(residual[params.residual_offset + i]); }
fn first_value(i: u32) -> V {
  if (!KEEP) { return sum_at(i); }
  let value = Elements(sum_at(i));
  sum[i] = value;
  return V(value);
}
fn value_at(i: u32) -> V {
  if (KEEP) { return V(sum[i]); }
  return sum_at(i);
}
