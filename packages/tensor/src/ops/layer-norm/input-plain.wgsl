// What is normalised is x itself.
@group(0) @binding(1) var<storage, read> x: array<Elements>;
fn value_at(i: u32) -> V { return V(x[params.x_offset + i]); }
fn keep(i: u32, value: V) {}
