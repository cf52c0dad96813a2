// Blocks of 4 x 4 elements, loaded and stored as vec4: what steps 3 and 4 are made of. `blocks-strided.wgsl` offers the
// same functions for operands that do not fit here.
// Fits: sizes m, n, k and all strides are multiples of 4 where a vec4 runs or starts, and one of the last two strides of
// an operand is 1: that of k, or with A_TRANSPOSED that of m, without B_TRANSPOSED that of n. A transposed operand costs
// nothing: its block is transposed in registers. Offsets and strides in `params` count vec4s (except one that is 1).
// A block that reaches over the last row or column reads the last one again; `store_row` drops what came of it.
@group(0) @binding(1) var<storage, read> a: array<vec4<TA>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<TB>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<TBIAS>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<TY>>;
alias C = vec4<f32>;
alias Y = vec4<TY>;

// Where the four rows from `row` on begin, for `a_block`.
fn a_rows(start: u32, row: u32) -> vec4<u32> {
  if (A_TRANSPOSED) { return vec4<u32>(start + min(row, params.m - 4u) / 4u); }
  return start + min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.m - 1u)) * params.a_row;
}

// Four rows of a, each a vec4 along k.
fn a_block(rows: vec4<u32>, k: u32) -> mat4x4<f32> {
  if (A_TRANSPOSED) {
    let p = rows.x + k * params.a_k;
    let s = params.a_k;
    return transpose(mat4x4<f32>(vec4<f32>(a[p]), vec4<f32>(a[p + s]), vec4<f32>(a[p + 2u * s]), vec4<f32>(a[p + 3u * s])));
  }
  let p = rows + k / 4u;
  return mat4x4<f32>(vec4<f32>(a[p.x]), vec4<f32>(a[p.y]), vec4<f32>(a[p.z]), vec4<f32>(a[p.w]));
}

// Where the four columns from `column` on begin, for `b_block`.
fn b_columns(start: u32, column: u32) -> vec4<u32> {
  if (B_TRANSPOSED) { return start + min(column + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n - 1u)) * params.b_column; }
  return vec4<u32>(start + min(column, params.n - 4u) / 4u);
}

// Four values of k, each a vec4 along the columns of b.
fn b_block(columns: vec4<u32>, k: u32) -> mat4x4<f32> {
  if (B_TRANSPOSED) {
    let p = columns + k / 4u;
    return transpose(mat4x4<f32>(vec4<f32>(b[p.x]), vec4<f32>(b[p.y]), vec4<f32>(b[p.z]), vec4<f32>(b[p.w])));
  }
  let p = columns.x + k * params.b_k;
  let s = params.b_k;
  return mat4x4<f32>(vec4<f32>(b[p]), vec4<f32>(b[p + s]), vec4<f32>(b[p + 2u * s]), vec4<f32>(b[p + 3u * s]));
}

// The bias of four columns.
fn bias_block(column: u32) -> vec4<f32> {
  if (params.has_bias != 0u) { return vec4<f32>(bias[params.bias_offset + min(column, params.n - 4u) / 4u]); }
  return vec4<f32>();
}

// Finishes and writes four columns of one row, if they exist.
fn store_row(batch: u32, row: u32, column: u32, sum: vec4<f32>) {
  if (row < params.m && column < params.n) {
    let at = ((batch * params.m + row) * params.n + column) / 4u;
    y[at] = Y(finished(at, column, sum));
  }
}

// For `epilogue.wgsl`.
fn extra_at(at: u32, column: u32) -> vec4<f32> { return vec4<f32>(extra[params.extra_offset + at]); }
fn keep_before(at: u32, column: u32, sum: vec4<f32>) { write_before(at, Y(sum)); }
