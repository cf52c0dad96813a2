// First step of attention's backward: for each query the pair (logsumexp, delta), delta = sum of y * g over the head's width.
// The gradient of a score is weight * (g · v - delta): delta is what softmax's own backward would sum over all keys.
@group(0) @binding(1) var<storage, read> y: array<T>;
@group(0) @binding(2) var<storage, read> g: array<T>;
@group(0) @binding(3) var<storage, read> logsumexp: array<f32>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let b = group.z;
  let h = group.y;
  let i = group.x * 64u + index;
  if (i >= params.queries) { return; }
  let row = out_at(b, h, i);
  let gradient = g_at(b, h, i);
  var delta = 0.0;
  for (var d = 0u; d < params.width; d++) { delta += f32(y[row + d]) * f32(g[gradient + d]); }
  let at = statistic(b, h, i);
  statistics[at] = vec2<f32>(logsumexp[at], delta);
}
