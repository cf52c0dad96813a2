// What is normalised is x itself: `first_value` is for the first pass over a row, `value_at` for those after it.
@group(0) @binding(1) var<storage, read> x: array<Elements>;
fn first_value(i: u32) -> V { return V(x[params.x_offset + i]); }
fn value_at(i: u32) -> V { return V(x[params.x_offset + i]); }
