// Convolution, forward: one element of y an invocation, straight from the definition. Neighbouring invocations make neighbouring
// columns, so they read neighbouring columns of x and the same weights. Every element of x is read R S O/G times.
// A picture cut into patches (stride = filter, no padding) does not come here: it is one matrix product, see index.ts.
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read> weight: array<T>;
@group(0) @binding(3) var<storage, read> bias: array<T>;
@group(0) @binding(4) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  let plane = params.out_size.x * params.out_size.y;
  if (i >= params.batch * params.outputs * plane) { return; }
  let at = vec2<i32>(vec2<u32>((i % plane) / params.out_size.y, i % params.out_size.y) * params.stride) - vec2<i32>(params.padding);
  let o = (i / plane) % params.outputs;
  let image = i / plane / params.outputs;
  let depth = params.channels / params.groups;
  let first = o / (params.outputs / params.groups) * depth;
  var total = 0.0;
  if (BIAS) { total = f32(bias[o]); }
  for (var c = 0u; c < depth; c++) {
    let source = (image * params.channels + first + c) * params.size.x;
    let filter_row = (o * depth + c) * params.kernel.x;
    for (var r = 0u; r < params.kernel.x; r++) {
      let h = at.x + i32(r * params.dilation.x);
      if (h < 0 || h >= i32(params.size.x)) { continue; }
      for (var s = 0u; s < params.kernel.y; s++) {
        let v = at.y + i32(s * params.dilation.y);
        if (v < 0 || v >= i32(params.size.y)) { continue; }
        let pixel = f32(x[(source + u32(h)) * params.size.y + u32(v)]);
        total = fma(pixel, f32(weight[(filter_row + r) * params.kernel.y + s]), total);
      }
    }
  }
  y[i] = T(total);
}
