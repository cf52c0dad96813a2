// What every program of softmax's backward shares. Rows are `length` Elements long, which stand `inner` apart.
//   softmax:     dx = y * (dy - sum(y * dy))
//   log-softmax: dx = dy - exp(y) * sum(dy)   (LOG)
struct Params { rows: u32, length: u32, inner: u32, y_offset: u32, dy_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Elements>;
@group(0) @binding(2) var<storage, read> dy: array<Elements>;
@group(0) @binding(3) var<storage, read_write> dx: array<Elements>;
