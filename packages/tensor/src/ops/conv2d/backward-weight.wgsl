// Gradient of a convolution for its weight: one element of dw a workgroup. The 64 invocations share the sum over all N P Q places
// of y, each taking every 64th, and add their parts up pairwise in workgroup memory: a fixed order, and small rounding errors.
// Needs 256 bytes of workgroup memory.
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read> dy: array<T>;
@group(0) @binding(3) var<storage, read_write> dw: array<T>;

var<workgroup> parts: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = w.x + w.y * n.x;
  let depth = params.channels / params.groups;
  let taps = params.kernel.x * params.kernel.y;
  // The grid may be a few workgroups too large; those add up nothing and store nothing, but pass every barrier.
  let inside = i < params.outputs * depth * taps;
  let o = i / taps / depth;
  let channel = o / (params.outputs / params.groups) * depth + (i / taps) % depth;
  let tap = vec2<u32>((i % taps) / params.kernel.y, i % params.kernel.y);
  let shift = vec2<i32>(tap * params.dilation) - vec2<i32>(params.padding);
  let plane = params.out_size.x * params.out_size.y;
  let count = select(0u, params.batch * plane, inside);
  var total = 0.0;
  for (var j = l; j < count; j += 64u) {
    let image = j / plane;
    let place = vec2<u32>((j % plane) / params.out_size.y, j % params.out_size.y);
    let at = vec2<i32>(place * params.stride) + shift;
    if (any(at < vec2<i32>(0)) || any(at >= vec2<i32>(params.size))) { continue; }
    let pixel = f32(x[((image * params.channels + channel) * params.size.x + u32(at.x)) * params.size.y + u32(at.y)]);
    total = fma(pixel, f32(dy[(image * params.outputs + o) * plane + j % plane]), total);
  }
  parts[l] = total;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (l < half) { parts[l] += parts[l + half]; }
  }
  if (l == 0u && inside) { dw[i] = T(parts[0]); }
}
