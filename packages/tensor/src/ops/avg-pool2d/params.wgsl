// The numbers of 2-d average pooling, shared by both kernels. A plane is one channel of one picture; x [planes, H, W],
// y [planes, P, Q], both without gaps. Window p covers the rows p * stride - padding … + kernel - 1; columns alike.
struct Params {
  planes: u32, start: u32,
  size: vec2<u32>, out_size: vec2<u32>,
  kernel: vec2<u32>, stride: vec2<u32>, padding: vec2<u32>,
}
@group(0) @binding(0) var<uniform> params: Params;

// By what the sum of window (p, q) is divided: all its places, or only those inside the picture. As in PyTorch, padding counts
// on both sides, but not what a window may reach beyond it.
fn divisor(window: vec2<u32>) -> f32 {
  let first = vec2<i32>(window * params.stride) - vec2<i32>(params.padding);
  let last = first + vec2<i32>(params.kernel);
  if (COUNT_PADDING) {
    let count = min(last, vec2<i32>(params.size + params.padding)) - first;
    return f32(count.x * count.y);
  }
  let count = min(last, vec2<i32>(params.size)) - max(first, vec2<i32>(0));
  return f32(count.x * count.y);
}
