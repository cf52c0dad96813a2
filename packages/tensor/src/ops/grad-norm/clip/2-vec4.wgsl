// Gradients times a factor, in place, step 2 of 3: four elements an invocation. Still a dispatch a tensor.
// Measured: llvmpipe 2.0 GB per CPU-second, SwiftShader 0.83.
const GROUP_ELEMENTS: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read_write> gradient: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * (GROUP_ELEMENTS / 4u) + l;
  if (i < (params.count + 3u) / 4u) { gradient[i] *= control[params.scale_at]; }
}
