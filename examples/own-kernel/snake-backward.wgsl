// Backward of Snake, from the gradient dy of its output:
//   dx = dy (1 + sin(2 a x))
//   da = sum over the rows of dy (x sin(2 a x) - sin(a x)^2 / a) / a
// This program writes the terms of da, [rows, features]; a sum over the rows follows, which the engine has already.
struct Params { count: u32, features: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<storage, read_write> da_terms: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  let frequency = a[i % params.features];
  let s = sin(frequency * x[i]);
  let slope = sin(2.0 * frequency * x[i]);
  dx[i] = dy[i] * (1.0 + slope);
  da_terms[i] = dy[i] * (x[i] * slope - s * s / frequency) / frequency;
}
