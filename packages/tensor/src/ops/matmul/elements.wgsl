// The operands one element at a time, for kernels that take any sizes and strides.
@group(0) @binding(1) var<storage, read> a: array<TA>;
@group(0) @binding(2) var<storage, read> b: array<TB>;
@group(0) @binding(3) var<storage, read> bias: array<TBIAS>;
@group(0) @binding(4) var<storage, read_write> y: array<TY>;
alias C = f32;
alias Y = TY;

// What a sum over k begins with.
fn bias_at(column: u32) -> f32 {
  if (params.has_bias == 0u || column >= params.n) { return 0.0; }
  return f32(bias[params.bias_offset + column]);
}

// Finishes the sum of one element of y (activation, addend) and writes it.
fn store(batch: u32, row: u32, column: u32, sum: f32) {
  let at = (batch * params.m + row) * params.n + column;
  y[at] = TY(finished(at, column, sum));
}

// For `epilogue.wgsl`.
fn extra_at(at: u32, column: u32) -> f32 { return f32(extra[params.extra_offset + at]); }
fn keep_before(at: u32, column: u32, sum: f32) { write_before(at, TY(sum)); }
