// Blocks of 4 x 4 elements of operands with any sizes and strides, loaded one element at a time: the other form of
// `blocks-vec4.wgsl`. Elements beyond k count as 0; rows and columns beyond the last repeat it and are not stored.
@group(0) @binding(1) var<storage, read> a: array<TA>;
@group(0) @binding(2) var<storage, read> b: array<TB>;
@group(0) @binding(3) var<storage, read> bias: array<TBIAS>;
@group(0) @binding(4) var<storage, read_write> y: array<TY>;
alias C = vec4<f32>;
alias Y = TY;

const FOUR = vec4<u32>(0u, 1u, 2u, 3u);

// Where the four rows from `row` on begin, for `a_block`.
fn a_rows(start: u32, row: u32) -> vec4<u32> {
  return start + min(row + FOUR, vec4<u32>(params.m - 1u)) * params.a_row;
}

// One row of a: four values along k.
fn a_row(p: vec4<u32>, inside: vec4<bool>) -> vec4<f32> {
  return select(vec4<f32>(), vec4<f32>(f32(a[p.x]), f32(a[p.y]), f32(a[p.z]), f32(a[p.w])), inside);
}

// Four rows of a, each a vec4 along k.
fn a_block(rows: vec4<u32>, k: u32) -> mat4x4<f32> {
  let inside = k + FOUR < vec4<u32>(params.k);
  let at = min(k + FOUR, vec4<u32>(params.k - 1u)) * params.a_k;
  return mat4x4<f32>(
    a_row(rows.x + at, inside), a_row(rows.y + at, inside), a_row(rows.z + at, inside), a_row(rows.w + at, inside));
}

// Where the four columns from `column` on begin, for `b_block`.
fn b_columns(start: u32, column: u32) -> vec4<u32> {
  return start + min(column + FOUR, vec4<u32>(params.n - 1u)) * params.b_column;
}

// One k of b: four columns.
fn b_row(columns: vec4<u32>, k: u32) -> vec4<f32> {
  let p = columns + min(k, params.k - 1u) * params.b_k;
  return select(vec4<f32>(), vec4<f32>(f32(b[p.x]), f32(b[p.y]), f32(b[p.z]), f32(b[p.w])), k < params.k);
}

// Four values of k, each a vec4 along the columns of b.
fn b_block(columns: vec4<u32>, k: u32) -> mat4x4<f32> {
  return mat4x4<f32>(b_row(columns, k), b_row(columns, k + 1u), b_row(columns, k + 2u), b_row(columns, k + 3u));
}

// The bias of four columns.
fn bias_block(column: u32) -> vec4<f32> {
  if (params.has_bias == 0u) { return vec4<f32>(); }
  let p = params.bias_offset + min(column + FOUR, vec4<u32>(params.n - 1u));
  return vec4<f32>(f32(bias[p.x]), f32(bias[p.y]), f32(bias[p.z]), f32(bias[p.w]));
}

// Finishes and writes four columns of one row, those that exist.
fn store_row(batch: u32, row: u32, column: u32, sum: vec4<f32>) {
  if (row >= params.m || column >= params.n) { return; }
  let at = (batch * params.m + row) * params.n + column;
  let value = finished(at, column, sum);
  for (var i = 0u; i < 4u; i++) {
    if (column + i < params.n) { y[at + i] = TY(value[i]); }
  }
}

// For `epilogue.wgsl`.
fn extra_at(at: u32, column: u32) -> vec4<f32> {
  let p = params.extra_offset + at + min(FOUR, vec4<u32>(params.n - 1u - column));
  return vec4<f32>(f32(extra[p.x]), f32(extra[p.y]), f32(extra[p.z]), f32(extra[p.w]));
}
fn keep_before(at: u32, column: u32, sum: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) {
    if (column + i < params.n) { write_before(at + i, TY(sum[i])); }
  }
}
