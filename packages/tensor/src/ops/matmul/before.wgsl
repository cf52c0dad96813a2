// Keeps what goes into an activation: its backward needs that.
@group(0) @binding(6) var<storage, read_write> before: array<Y>;

fn write_before(at: u32, value: Y) { before[at] = value; }
