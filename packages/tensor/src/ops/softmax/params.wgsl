// What every program of softmax shares. Rows are `length` Elements long (an element, or four neighbours); elements of a row
// stand `inner` apart. LOG: the logarithm of softmax is wanted.
struct Params { rows: u32, length: u32, inner: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elements>;
@group(0) @binding(2) var<storage, read_write> y: array<Elements>;
