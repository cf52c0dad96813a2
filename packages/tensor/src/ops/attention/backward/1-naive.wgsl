// Gradients of queries, keys and values in one kernel, step 1: a workgroup a head, a row an invocation at a time.
// The idea: `dq/1-naive` for each query and then `dkv/1-naive` for each key. What one needs of the other it computes again, so that
// there is nothing to wait for.
// Needs: 9 storage buffers.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 526 ms, 0.5 GFLOP per CPU-second.
@group(0) @binding(1) var<storage, read> q: array<T>;
@group(0) @binding(2) var<storage, read> k: array<T>;
@group(0) @binding(3) var<storage, read> v: array<T>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<T>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<f32>;
@group(0) @binding(8) var<storage, read_write> dk: array<f32>;
@group(0) @binding(9) var<storage, read_write> dv: array<f32>;

fn dk_at(b: u32, h: u32, j: u32) -> u32 { return b * params.out2_batch + h * params.out2_head + j * params.out2_row; }

// x: weight after dropout, y: gradient of the score, of one pair.
fn pair(b: u32, h: u32, i: u32, j: u32) -> vec2<f32> {
  var dot = 0.0;
  var g_v = 0.0;
  for (var d = 0u; d < params.width; d++) {
    dot += f32(q[q_at(b, h, i) + d]) * f32(k[k_at(b, h, j) + d]);
    g_v += f32(g[g_at(b, h, i) + d]) * f32(v[v_at(b, h, j) + d]);
  }
  let score = masked(dot * params.scale, b, h, i, j);
  if (score <= HIDDEN) { return vec2<f32>(); }
  let statistics_i = statistics[statistic(b, h, i)];
  let weight = exp(score - statistics_i.x);
  let keep = kept(b, h, i, j);
  return vec2<f32>(weight * keep, weight * (g_v * keep - statistics_i.y) * params.scale);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let h = group.y;
  // With packed sequences a workgroup has one of them, and the last one the padding behind them.
  var b = group.z;
  var rows = vec4<u32>(0u, params.queries, 0u, params.keys);
  if (PACKED) {
    b = 0u;
    let begin = cu_seqlens(group.z);
    var end = params.queries;
    if (group.z < params.sequences) { end = cu_seqlens(group.z + 1u); }
    rows = vec4<u32>(begin, end, begin, end);
  }
  for (var i = rows.x + index; i < rows.y; i += 64u) {
    let row = out_at(b, h, i);
    for (var d = 0u; d < params.width; d++) { dq[row + d] = 0.0; }
    let span = keys_of(i);
    for (var j = span.x; j < span.y; j++) {
      let slope = pair(b, h, i, j).y;
      for (var d = 0u; d < params.width; d++) { dq[row + d] += slope * f32(k[k_at(b, h, j) + d]); }
    }
  }
  for (var j = rows.z + index; j < rows.w; j += 64u) {
    let row = dk_at(b, h, j);
    for (var d = 0u; d < params.width; d++) {
      dk[row + d] = 0.0;
      dv[row + d] = 0.0;
    }
    let span = queries_of(j);
    for (var i = span.x; i < span.y; i++) {
      let both = pair(b, h, i, j);
      for (var d = 0u; d < params.width; d++) {
        dk[row + d] += both.y * f32(q[q_at(b, h, i) + d]);
        dv[row + d] += both.x * f32(g[g_at(b, h, i) + d]);
      }
    }
  }
}
