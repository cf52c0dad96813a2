// The gradient of what was normalised goes to dx.
@group(0) @binding(5) var<storage, read_write> dx: array<Elements>;
fn leave(i: u32, gradient: V) { dx[i] = Elements(gradient); }
