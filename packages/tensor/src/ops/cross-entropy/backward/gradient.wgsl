//   dx[c] = dy scale (softmax(x)[c] sum(q) - q[c])
// with softmax from the maximum and the logarithm that forward kept: x is read once, and nothing is reduced again.
@group(0) @binding(4) var<storage, read> state: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> scale: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<T>;

fn row_scale(row: u32) -> f32 {
  if (REDUCED) { return dy[params.dy_offset] * scale[0]; }
  return dy[params.dy_offset + row];
}

fn gradient(row: u32, class_id: u32, label: i32, kept: vec4<f32>, factor: f32) -> f32 {
  if (kept.w == 0.0) { return 0.0; }
  if (NLL) { return -factor * share(row, class_id, label); }
  let p = exp((logit(row, class_id) - kept.x) - kept.y);
  return factor * (p * kept.z - share(row, class_id, label));
}
