// Gradient of the queries, step 2: tiles of 32 queries and 32 keys in workgroup memory.
// Adds to step 1: a row of q, k, v or g is read from storage once for 32 others, and dq is touched once for 32 keys.
// Needs: 64 invocations, 12 KiB workgroup memory.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 101 ms, 1.5 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 264 ms.
@group(0) @binding(1) var<storage, read> q: array<T>;
@group(0) @binding(2) var<storage, read> k: array<T>;
@group(0) @binding(3) var<storage, read> v: array<T>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<T>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<f32>;

// slopes[row][key]: scores, then their gradients. columns: g · v, laid out the same, then [key][column], 32 columns of k.
var<workgroup> slopes: array<f32, TILE * TILE>;
var<workgroup> columns: array<f32, TILE * TILE>;
// Which keys each row may attend to.
var<workgroup> spans: array<vec2<u32>, TILE>;

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let b = group.z;
  let h = group.y;
  let first = group.x * TILE;
  let last = min(first + TILE, params.queries) - 1u;
  let tile = keys_of_tile(first, last);
  if (index < TILE) { spans[index] = keys_of(min(first + index, last)); }
  for (var j = tile.x; j < tile.y; j += TILE) {
    // 1. q · k and g · v of 32 queries and 32 keys.
    var scores = array<vec4<f32>, 4>();
    var g_v = array<vec4<f32>, 4>();
    for (var d = 0u; d < params.width; d += DEPTH) {
      for (var n = index; n < TILE * DEPTH; n += INVOCATIONS) {
        let row = n / DEPTH;
        let c = d + n % DEPTH;
        let at = (n % DEPTH) * TILE + row;
        left[at] = 0.0;
        right[at] = 0.0;
        if (c < params.width && first + row < params.queries) { left[at] = f32(q[q_at(b, h, first + row) + c]); }
        if (c < params.width && j + row < params.keys) { right[at] = f32(k[k_at(b, h, j + row) + c]); }
      }
      workgroupBarrier();
      add_product(&scores, local.x, local.y, min(DEPTH, params.width - d));
      workgroupBarrier();
      for (var n = index; n < TILE * DEPTH; n += INVOCATIONS) {
        let row = n / DEPTH;
        let c = d + n % DEPTH;
        let at = (n % DEPTH) * TILE + row;
        left[at] = 0.0;
        right[at] = 0.0;
        if (c < params.width && first + row < params.queries) { left[at] = f32(g[g_at(b, h, first + row) + c]); }
        if (c < params.width && j + row < params.keys) { right[at] = f32(v[v_at(b, h, j + row) + c]); }
      }
      workgroupBarrier();
      add_product(&g_v, local.x, local.y, min(DEPTH, params.width - d));
      workgroupBarrier();
    }
    // 2. Gradients of the scores.
    for (var r = 0u; r < 4u; r++) {
      for (var c = 0u; c < 4u; c++) {
        let at = (4u * local.y + r) * TILE + 4u * local.x + c;
        slopes[at] = scores[r][c] * params.scale;
        columns[at] = g_v[r][c];
      }
    }
    workgroupBarrier();
    for (var n = index; n < TILE * TILE; n += INVOCATIONS) {
      let i = first + n / TILE;
      let span = spans[n / TILE];
      let key = j + n % TILE;
      var score = HIDDEN;
      if (key >= span.x && key < span.y) { score = masked(slopes[n], b, h, i, key); }
      let statistics_i = statistics[statistic(b, h, min(i, params.queries - 1u))];
      let slope = exp(score - statistics_i.x) * (columns[n] * kept(b, h, i, key) - statistics_i.y);
      slopes[n] = select(slope * params.scale, 0.0, score <= HIDDEN);
    }
    workgroupBarrier();
    let count = min(TILE, params.keys - j);
    // 3. Their sums of keys, 32 columns at a time.
    for (var d = 0u; d < params.width; d += TILE) {
      for (var n = index; n < TILE * TILE; n += INVOCATIONS) {
        let row = n / TILE;
        let c = d + n % TILE;
        columns[n] = 0.0;
        if (c < params.width && j + row < params.keys) { columns[n] = f32(k[k_at(b, h, j + row) + c]); }
      }
      workgroupBarrier();
      var out = array<vec4<f32>, 4>();
      for (var n = 0u; n < count; n++) {
        let at = n * TILE + 4u * local.x;
        let row = vec4<f32>(columns[at], columns[at + 1u], columns[at + 2u], columns[at + 3u]);
        for (var r = 0u; r < 4u; r++) { out[r] = fma(vec4<f32>(slopes[(4u * local.y + r) * TILE + n]), row, out[r]); }
      }
      for (var r = 0u; r < 4u; r++) {
        let i = first + 4u * local.y + r;
        if (i >= params.queries) { continue; }
        let at = out_at(b, h, i) + d + 4u * local.x;
        for (var c = 0u; c < 4u; c++) {
          if (d + 4u * local.x + c >= params.width) { continue; }
          var before = 0.0;
          if (j > tile.x) { before = dq[at + c]; }
          dq[at + c] = before + out[r][c];
        }
      }
      workgroupBarrier();
    }
  }
  if (tile.x >= tile.y && index < TILE && first + index <= last) {
    for (var d = 0u; d < params.width; d++) { dq[out_at(b, h, first + index) + d] = 0.0; }
  }
}
