// AdamW, step 2 of 5: four elements an invocation, so that every load and store is of 16 bytes. Still a dispatch a tensor.
// Measured: llvmpipe 4.5 GB per CPU-second, SwiftShader 0.97.
const GROUP_ELEMENTS: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> parameter: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> exp_avg: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> exp_avg_sq: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> control: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * (GROUP_ELEMENTS / 4u) + l;
  let step = this_step();
  if (i >= (params.count + 3u) / 4u || step.skip) { return; }
  let r = adam(step, params.decay, parameter[i], gradient[i], exp_avg[i], exp_avg_sq[i]);
  parameter[i] = r.p;
  exp_avg[i] = r.m;
  exp_avg_sq[i] = r.v;
}
