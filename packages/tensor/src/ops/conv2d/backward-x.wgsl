// Gradient of a convolution for its input: one element of dx an invocation, which gathers from every place of y that it went to.
// Gathering needs no atomics, so the order of the sum, and the result, is the same in every run.
// Row p of y took row h of x under row r of the filter where p * stride = h + padding - r * dilation.
@group(0) @binding(1) var<storage, read> dy: array<T>;
@group(0) @binding(2) var<storage, read> weight: array<T>;
@group(0) @binding(3) var<storage, read_write> dx: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  let plane = params.size.x * params.size.y;
  if (i >= params.batch * params.channels * plane) { return; }
  let at = vec2<u32>((i % plane) / params.size.y, i % params.size.y) + params.padding;
  let channel = (i / plane) % params.channels;
  let image = i / plane / params.channels;
  let depth = params.channels / params.groups;
  let width = params.outputs / params.groups;
  let first = channel / depth * width;
  let c = channel % depth;
  var total = 0.0;
  for (var r = 0u; r < params.kernel.x; r++) {
    let above = r * params.dilation.x;
    if (above > at.x || (at.x - above) % params.stride.x != 0u) { continue; }
    let p = (at.x - above) / params.stride.x;
    if (p >= params.out_size.x) { continue; }
    for (var s = 0u; s < params.kernel.y; s++) {
      let left = s * params.dilation.y;
      if (left > at.y || (at.y - left) % params.stride.y != 0u) { continue; }
      let q = (at.y - left) / params.stride.y;
      if (q >= params.out_size.y) { continue; }
      for (var o = first; o < first + width; o++) {
        let gradient = f32(dy[((image * params.outputs + o) * params.out_size.x + p) * params.out_size.y + q]);
        total = fma(gradient, f32(weight[((o * depth + c) * params.kernel.x + r) * params.kernel.y + s]), total);
      }
    }
  }
  dx[i] = T(total);
}
