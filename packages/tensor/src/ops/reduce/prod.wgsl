// y = product of each line along a dimension: one invocation a line. Sum is f32 for floats.
struct Params { lines: u32, length: u32, inner: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let line = (w.x + w.y * n.x) * 64u + l;
  if (line >= params.lines) { return; }
  var at = params.offset + (line / params.inner) * params.length * params.inner + line % params.inner;
  var product = Accumulator(1);
  for (var k = 0u; k < params.length; k++) {
    product *= Accumulator(x[at]);
    at += params.inner;
  }
  y[line] = Y(product);
}
