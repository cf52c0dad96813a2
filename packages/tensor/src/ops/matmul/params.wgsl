// What every step of the matmul ladder shares: the sizes, the strides and the batch.
// y[batch, m, n] = epilogue(a[batch, m, k] · b[batch, k, n] + bias[n]); strides of 0 repeat an operand over a batch dimension.
// `k_2` and what follows `scale` belong to a second pair of operands: see `second.wgsl`.
struct Params {
  m: u32, n: u32, k: u32, first_batch: u32,
  a_offset: u32, a_row: u32, a_k: u32, bias_offset: u32,
  b_offset: u32, b_k: u32, b_column: u32, has_bias: u32,
  batch_shape: vec4<u32>, a_batch: vec4<u32>, b_batch: vec4<u32>,
  extra_offset: u32, epilogue: u32, k_2: u32, scale: f32,
  c_offset: u32, d_offset: u32, drop_p: f32, drop_scale: f32,
  seed: vec2<u32>, random: vec2<u32>,
}
@group(0) @binding(0) var<uniform> params: Params;

// Where operand a (x) and operand b (y) of batch element `batch` begin. Strides are modulo 2^32, so negative ones work too.
fn batch_starts(batch: u32) -> vec2<u32> {
  var rest = batch;
  var start = vec2<u32>(params.a_offset, params.b_offset);
  for (var d = 3u; d < 4u; d--) {
    let size = params.batch_shape[d];
    let i = rest % size;
    rest /= size;
    start += i * vec2<u32>(params.a_batch[d], params.b_batch[d]);
  }
  return start;
}
