// Fills a tensor with random numbers, in place: one Philox block of four words, and so four elements, an invocation.
// KIND chooses the distribution, `a` and `b` are its numbers:
//   0 uniform in [a, b)                    1 normal, mean a, standard deviation b
//   2 whole numbers from low_integer on    3 normal, mean a, standard deviation b, cut to [low, high]
// The stores are guarded one by one, so that a part of a larger tensor can be filled without touching its neighbours.
const UNIFORM = 0u;
const NORMAL = 1u;
const INTEGERS = 2u;

struct Params {
  seed: vec2<u32>, offset: vec2<u32>,
  count: u32, start: u32, low_integer: i32, range: u32,
  a: f32, b: f32, low: f32, high: f32, erf_low: f32, erf_high: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<Y>;

// Box and Muller 1958: two uniforms become two independent normals. All 32 bits of the radius' word are used, for the tails
// (up to 6.7 deviations), and it is never 0. Drivers may return a log a little above 0 near 1, hence the max.
fn box_muller(bits: vec2<u32>) -> vec2<f32> {
  let u = f32(bits.x) * (1.0 / 4294967296.0) + (0.5 / 4294967296.0);
  let radius = sqrt(max(-2.0 * log(u), 0.0));
  let angle = 6.283185307 * (f32(bits.y >> 8u) * (1.0 / 16777216.0) - 0.5);
  return radius * vec2<f32>(cos(angle), sin(angle));
}

// Inverse of erf, relative error below 4e-7. Source: Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2010.
fn erf_inverse(x: f32) -> f32 {
  var w = -log((1.0 - x) * (1.0 + x));
  var p: f32;
  if (w < 5.0) {
    w -= 2.5;
    p = 2.81022636e-08;
    p = fma(p, w, 3.43273939e-07);
    p = fma(p, w, -3.5233877e-06);
    p = fma(p, w, -4.39150654e-06);
    p = fma(p, w, 0.00021858087);
    p = fma(p, w, -0.00125372503);
    p = fma(p, w, -0.00417768164);
    p = fma(p, w, 0.246640727);
    p = fma(p, w, 1.50140941);
  } else {
    w = sqrt(w) - 3.0;
    p = -0.000200214257;
    p = fma(p, w, 0.000100950558);
    p = fma(p, w, 0.00134934322);
    p = fma(p, w, -0.00367342844);
    p = fma(p, w, 0.00573950773);
    p = fma(p, w, -0.0076224613);
    p = fma(p, w, 0.00943887047);
    p = fma(p, w, 1.00167406);
    p = fma(p, w, 2.83297682);
  }
  return p * x;
}

fn draw(bits: vec4<u32>) -> vec4<f32> {
  if (KIND == NORMAL) { return params.a + params.b * vec4<f32>(box_muller(bits.xy), box_muller(bits.zw)); }
  var u = uniform4(bits);
  // f16 has 11 bits: the others would round some numbers up to 1.
  if (HALF && KIND == UNIFORM) { u = floor(u * 2048.0) / 2048.0; }
  if (KIND == UNIFORM) { return params.a + (params.b - params.a) * u; }
  // Cut normal: `erf_low` and `erf_high` are erf at the cuts; the inverse is taken of a uniform between them.
  let at = params.erf_low + (params.erf_high - params.erf_low) * u;
  var v: vec4<f32>;
  for (var k = 0u; k < 4u; k++) { v[k] = erf_inverse(clamp(at[k], -0.99999994, 0.99999994)); }
  return clamp(params.a + params.b * 1.4142135624 * v, vec4<f32>(params.low), vec4<f32>(params.high));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (4u * i >= params.count) { return; }
  let bits = random4(params.seed, params.offset, i);
  let left = min(params.count - 4u * i, 4u);
  let first = params.start + 4u * i;
  if (KIND == INTEGERS) {
    for (var k = 0u; k < left; k++) { y[first + k] = Y(params.low_integer + i32(mul_hi(bits[k], params.range))); }
  } else {
    let v = draw(bits);
    for (var k = 0u; k < left; k++) { y[first + k] = Y(v[k]); }
  }
}
