// The numbers of a 2-d convolution, shared by its three kernels. Letters: N batch, C channels of x, O channels of y, G groups
// (each takes C/G channels of x to O/G of y), (H, W) picture, (P, Q) picture of y, (R, S) size of the filter.
// All tensors lie row-major without gaps: x [N, C, H, W], weight [O, C/G, R, S], y [N, O, P, Q].
// Row h of x under row r of the filter and row p of y: h = p * stride - padding + r * dilation; columns alike.
struct Params {
  batch: u32, channels: u32, outputs: u32, groups: u32,
  size: vec2<u32>, out_size: vec2<u32>,
  kernel: vec2<u32>, stride: vec2<u32>,
  padding: vec2<u32>, dilation: vec2<u32>,
}
@group(0) @binding(0) var<uniform> params: Params;
