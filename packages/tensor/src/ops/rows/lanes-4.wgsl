// A row is read four elements at a time. `length` and offsets count groups of four.
alias V = vec4<f32>;
alias Elements = vec4<T>;
fn total(v: V) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn highest(v: V) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
// The most negative finite f32: where maxima start. Starting at -inf would make exp(x - maximum) NaN for x = -inf.
const LOWEST = -3.4028234e38;
