// Sums of squares of up to four tensors, 256 elements an invocation, one partial sum each; a `sum` adds those up.
// Needs no barrier, and gives the same bits every time.
struct Params { counts: vec4<u32>, ends: vec4<u32>, y_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x0: array<f32>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read> x2: array<f32>;
@group(0) @binding(4) var<storage, read> x3: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let part = (w.x + w.y * n.x) * 64u + l;
  if (part >= params.ends.w) { return; }
  var total = 0.0;
  if (part < params.ends.x) {
    let begin = part * 256u;
    for (var i = begin; i < min(begin + 256u, params.counts.x); i++) { total = fma(x0[i], x0[i], total); }
  } else if (part < params.ends.y) {
    let begin = (part - params.ends.x) * 256u;
    for (var i = begin; i < min(begin + 256u, params.counts.y); i++) { total = fma(x1[i], x1[i], total); }
  } else if (part < params.ends.z) {
    let begin = (part - params.ends.y) * 256u;
    for (var i = begin; i < min(begin + 256u, params.counts.z); i++) { total = fma(x2[i], x2[i], total); }
  } else {
    let begin = (part - params.ends.z) * 256u;
    for (var i = begin; i < min(begin + 256u, params.counts.w); i++) { total = fma(x3[i], x3[i], total); }
  }
  y[params.y_offset + part] = total;
}
