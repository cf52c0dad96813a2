// Snake, an activation for periodic data: y = x + sin(a x)^2 / a, with one learned frequency `a` a feature.
// Source: Ziyin, Hartwig, Ueda: "Neural networks fail to learn periodic functions and how to fix it", 2020.
// One element an invocation. x and y are [rows, features] without gaps, a is [features].
struct Params { count: u32, features: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  let frequency = a[i % params.features];
  let s = sin(frequency * x[i]);
  y[i] = x[i] + s * s / frequency;
}
