// The norm from the partial sums, what to multiply the gradients by, and whether one of them is not finite. One workgroup.
// The gradients may be those of a loss times `scale`; norm and coefficient are for those of the loss itself.
struct Params { parts: u32, scale_at: u32, max_norm: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // norm, coefficient, 1 if not finite, 0

var<workgroup> sums: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) l: u32) {
  var total = 0.0;
  for (var i = l; i < params.parts; i += 256u) { total += partial[i]; }
  sums[l] = total;
  for (var half = 128u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (l < half) { sums[l] += sums[l + half]; }
  }
  if (l > 0u) { return; }
  let factor = scale[params.scale_at];
  let norm = sqrt(sums[0]) / factor;
  // By its bits: a compiler may take it for granted that there is no infinity and no NaN.
  let bits = bitcast<u32>(sums[0]) & 0x7fffffffu;
  var coefficient = 1.0;
  if (bits > 0x7f800000u) { coefficient = norm; } else if (norm + 1e-6 > params.max_norm) { coefficient = params.max_norm / (norm + 1e-6); }
  y[0] = norm;
  y[1] = coefficient / factor;
  y[2] = select(0.0, 1.0, bits >= 0x7f800000u);
  y[3] = 0.0;
}
