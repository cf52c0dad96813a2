// Sum of the rows' losses, divided by the sum of what they count if MEAN. One workgroup; the order of addition is fixed.
// scale[0] = what backward multiplies with: 1, or 1 / (sum of what the rows count).
struct Params { rows: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> loss: array<f32>;
@group(0) @binding(2) var<storage, read> mass: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> scale: array<f32>;

var<workgroup> parts: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) l: u32) {
  var part = vec2(0.0);
  for (var row = l; row < params.rows; row += 64u) { part += vec2(loss[row], mass[row]); }
  parts[l] = part;
  workgroupBarrier();
  if (l > 0u) { return; }
  var sum = vec2(0.0);
  for (var i = 0u; i < 64u; i++) { sum += parts[i]; }
  if (MEAN) {
    y[0] = sum.x / sum.y;
    scale[0] = 1.0 / sum.y;
  } else {
    y[0] = sum.x;
    scale[0] = 1.0;
  }
}
