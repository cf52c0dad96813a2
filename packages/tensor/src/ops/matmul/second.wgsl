// A second pair of operands: y = a · b + c · d, with c [m, k_2] and d [k_2, n] (or [n, k_2] transposed, if b is), both without
// gaps. A low-rank adapter beside a weight is such a product: k_2 is its rank, so it costs k_2 / k of the first one in the same
// kernel, where a product of its own would write and read y once more.
// With DROPS the second product goes through dropout before it is added: element i of y, counted row by row, is kept if number
// i of the range is, as in `../dropout/dropout.wgsl`. That is the gradient of an adapter whose input was dropped.
@group(0) @binding(6) var<storage, read> c: array<vec4<TC>>;
@group(0) @binding(7) var<storage, read> d: array<vec4<TD>>;

const STEPS = vec4<u32>(0u, 1u, 2u, 3u);
const BITS = vec4<u32>(1u, 2u, 4u, 8u);

// As `a_rows`, `a_block`, `b_columns`, `b_block`.
fn c_rows(row: u32) -> vec4<u32> {
  return params.c_offset + min(row + STEPS, vec4<u32>(params.m - 1u)) * (params.k_2 / 4u);
}
fn c_block(rows: vec4<u32>, k: u32) -> mat4x4<f32> {
  let p = rows + k / 4u;
  return mat4x4<f32>(vec4<f32>(c[p.x]), vec4<f32>(c[p.y]), vec4<f32>(c[p.z]), vec4<f32>(c[p.w]));
}
fn d_columns(column: u32) -> vec4<u32> {
  if (B_TRANSPOSED) { return params.d_offset + min(column + STEPS, vec4<u32>(params.n - 1u)) * (params.k_2 / 4u); }
  return vec4<u32>(params.d_offset + min(column, params.n - 4u) / 4u);
}
fn d_block(columns: vec4<u32>, k: u32) -> mat4x4<f32> {
  let s = params.n / 4u;
  let p = select(columns.x + k * s + s * STEPS, columns + k / 4u, B_TRANSPOSED);
  let block = mat4x4<f32>(vec4<f32>(d[p.x]), vec4<f32>(d[p.y]), vec4<f32>(d[p.z]), vec4<f32>(d[p.w]));
  if (B_TRANSPOSED) { return transpose(block); }
  return block;
}

// Which of the four columns from `column` on dropout keeps, as bits 4 (i % 8) and on of word i / 8: room for 32 vec4s, so that a
// loop that is compiled once can draw the numbers of a whole tile.
fn kept_at(i: u32, row: u32, column: u32) -> vec4<u32> {
  let numbers = uniform4(random4(params.seed, params.random, (row * params.n + column) / 4u));
  let bits = dot(select(vec4<u32>(), BITS, numbers >= vec4<f32>(params.drop_p)), vec4<u32>(1u));
  return select(vec4<u32>(), vec4<u32>(bits << (4u * (i % 8u))), STEPS == vec4<u32>(i / 8u));
}

// sum + what is kept of x · y; `kept` counts with DROPS only.
fn added(sum: vec4<f32>, x: vec4<f32>, y: mat4x4<f32>, kept: vec4<u32>, i: u32) -> vec4<f32> {
  let part = accumulate(vec4<f32>(), x, y);
  if (!DROPS) { return sum + part; }
  let bits = vec4<u32>(kept[i / 8u] >> (4u * (i % 8u))) & BITS;
  return sum + part * select(vec4<f32>(), vec4<f32>(params.drop_scale), bits != vec4<u32>());
}

// llvmpipe, 1024 x 384 x 384 with k_2 = 16, CPU ms, least of 30 (the first product alone; the second in a dispatch of its own):
// a · bᵀ + c · dᵀ 11.0 (10.5; 12.7), a · b + c · d 11.7 (11.5; 13.2), with dropout 12.3 (then three dispatches).
// What did not help there:
//   dropout of the whole second sum, not of a part of it in each round: 61, for the compiler then spills the sums in all rounds
//   fma into the sums in place of `sum + part`, or the second pair after the first: 20% slower, other registers are spilled
//   a select between dropped and kept parts in place of a factor: 20% slower
