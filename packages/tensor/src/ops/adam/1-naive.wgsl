// AdamW, step 1 of 5: the port of the formula, an element an invocation, a dispatch a tensor. A model of 104 tensors needs 104
// dispatches, most of them over a few hundred numbers. Source: Kingma & Ba 2015; Loshchilov & Hutter 2019; in torch.optim's order.
// Measured (GB per CPU-second; 104 tensors of a 384-wide DistilBERT, 22.7M parameters, 28 bytes each): llvmpipe 1.9 (a copy 2.5),
// SwiftShader 0.44 (a copy 0.75).
const GROUP_ELEMENTS: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<f32>;
@group(0) @binding(2) var<storage, read_write> parameter: array<f32>;
@group(0) @binding(3) var<storage, read_write> exp_avg: array<f32>;
@group(0) @binding(4) var<storage, read_write> exp_avg_sq: array<f32>;
@group(0) @binding(5) var<storage, read> control: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * GROUP_ELEMENTS + l;
  let step = this_step();
  if (i >= params.count || step.skip) { return; }
  var p = parameter[i];
  var g = gradient[i] * step.scale;
  if (DECOUPLED) { p -= params.decay * p; } else { g += params.decay * p; }
  let m = fma(params.one_minus_beta1, g - exp_avg[i], exp_avg[i]);
  let v = fma(params.one_minus_beta2 * g, g, params.beta2 * exp_avg_sq[i]);
  parameter[i] = p - step.size * m / (sqrt(v) * step.inverse_root + params.eps);
  exp_avg[i] = m;
  exp_avg_sq[i] = v;
}
