// Gradient of the queries, step 1: one query an invocation.
// The idea: the weight of a key is exp(score - logsumexp), so the matrix of weights is computed again rather than kept.
// Needs: nothing.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 158 ms, 1.0 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 276 ms.
@group(0) @binding(1) var<storage, read> q: array<T>;
@group(0) @binding(2) var<storage, read> k: array<T>;
@group(0) @binding(3) var<storage, read> v: array<T>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<T>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<f32>;

// Queries of a workgroup.
const GROUP_ROWS: u32 = 64u;

@compute @workgroup_size(GROUP_ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let b = group.z;
  let h = group.y;
  let i = group.x * GROUP_ROWS + index;
  if (i >= params.queries) { return; }
  let query = q_at(b, h, i);
  let gradient = g_at(b, h, i);
  let statistics_i = statistics[statistic(b, h, i)];
  let row = out_at(b, h, i);
  for (var d = 0u; d < params.width; d++) { dq[row + d] = 0.0; }
  let span = keys_of(i);
  for (var j = span.x; j < span.y; j++) {
    let key = k_at(b, h, j);
    let value = v_at(b, h, j);
    var dot = 0.0;
    var g_v = 0.0;
    for (var d = 0u; d < params.width; d++) {
      dot += f32(q[query + d]) * f32(k[key + d]);
      g_v += f32(g[gradient + d]) * f32(v[value + d]);
    }
    let score = masked(dot * params.scale, b, h, i, j);
    if (score <= HIDDEN) { continue; }
    let weight = exp(score - statistics_i.x);
    let slope = weight * (g_v * kept(b, h, i, j) - statistics_i.y) * params.scale;
    for (var d = 0u; d < params.width; d++) { dq[row + d] += slope * f32(k[key + d]); }
  }
}
