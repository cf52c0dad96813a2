// dx_k = dy · (product of all elements of the line but the k-th), without a division, which zeros would break: a walk
// forward writes the product of what comes before, a walk back multiplies by what comes after.
struct Params { lines: u32, length: u32, inner: u32, offset: u32, dy_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read> dy: array<Y>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let line = (w.x + w.y * n.x) * 64u + l;
  if (line >= params.lines) { return; }
  let start = (line / params.inner) * params.length * params.inner + line % params.inner;
  var before = f32(dy[params.dy_offset + line]);
  for (var k = 0u; k < params.length; k++) {
    let at = start + k * params.inner;
    dx[at] = before;
    before *= f32(x[params.offset + at]);
  }
  var after = 1.0;
  for (var k = params.length; k > 0u; k--) {
    let at = start + (k - 1u) * params.inner;
    dx[at] *= after;
    after *= f32(x[params.offset + at]);
  }
}
