// A row is read one element at a time: for lengths or offsets that are no multiple of four.
alias V = f32;
alias Elements = T;
fn total(v: V) -> f32 { return v; }
fn highest(v: V) -> f32 { return v; }
// The most negative finite f32: where maxima start. Starting at -inf would make exp(x - maximum) NaN for x = -inf.
const LOWEST = -3.4028234e38;
