// Running sums along a dimension: one invocation a line. REVERSE runs from the end, which is the gradient.
struct Params { lines: u32, length: u32, inner: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let line = (w.x + w.y * n.x) * 64u + l;
  if (line >= params.lines) { return; }
  let start = (line / params.inner) * params.length * params.inner + line % params.inner;
  var total = Accumulator(0);
  for (var k = 0u; k < params.length; k++) {
    let at = start + select(k, params.length - 1u - k, REVERSE) * params.inner;
    total += Accumulator(x[params.offset + at]);
    y[at] = T(total);
  }
}
