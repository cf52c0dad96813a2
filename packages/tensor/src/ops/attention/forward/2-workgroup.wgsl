// Attention forward, step 2: tiles of 32 queries and 32 keys in workgroup memory.
// Adds to step 1: a row of q, k or v is read from storage once for 32 others, not once for each, and the output is touched once
// for 32 keys. The price is barriers, which are nearly free on a GPU and dear on a software driver.
// Needs: 64 invocations, 12.4 KiB workgroup memory.
// Measured on a busy llvmpipe (subgroups of 8), CPU time of 16 x 12 heads, 64 tokens, 32 wide: 57 ms, 1.8 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 171 ms.
@group(0) @binding(1) var<storage, read> q: array<T>;
@group(0) @binding(2) var<storage, read> k: array<T>;
@group(0) @binding(3) var<storage, read> v: array<T>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> logsumexp: array<f32>;

// weights[row][key]: scores, then their exponentials. values[key][column]: 32 columns of v.
var<workgroup> weights: array<f32, TILE * TILE>;
var<workgroup> values: array<f32, TILE * TILE>;
// Of each row: largest score so far, sum of the weights so far, and the factor that what is in y has to be multiplied with.
var<workgroup> top: array<f32, TILE>;
var<workgroup> total: array<f32, TILE>;
var<workgroup> shrink: array<f32, TILE>;

@compute @workgroup_size(8, 8)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) local: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
) {
  let b = group.z;
  let h = group.y;
  let first = group.x * TILE;
  if (index < TILE) {
    top[index] = HIDDEN;
    total[index] = 0.0;
  }
  let last = min(first + TILE, params.queries) - 1u;
  let tile = keys_of_tile(first, last);
  for (var j = tile.x; j < tile.y; j += TILE) {
    // 1. Scores of 32 queries and 32 keys.
    var sums = array<vec4<f32>, 4>();
    for (var d = 0u; d < params.width; d += DEPTH) {
      for (var n = index; n < TILE * DEPTH; n += INVOCATIONS) {
        let row = n / DEPTH;
        let c = d + n % DEPTH;
        let inside = c < params.width;
        let at = (n % DEPTH) * TILE + row;
        left[at] = 0.0;
        right[at] = 0.0;
        if (inside && first + row < params.queries) { left[at] = f32(q[q_at(b, h, first + row) + c]); }
        if (inside && j + row < params.keys) { right[at] = f32(k[k_at(b, h, j + row) + c]); }
      }
      workgroupBarrier();
      add_product(&sums, local.x, local.y, min(DEPTH, params.width - d));
      workgroupBarrier();
    }
    for (var r = 0u; r < 4u; r++) {
      let row = 4u * local.y + r;
      for (var c = 0u; c < 4u; c++) { weights[row * TILE + 4u * local.x + c] = sums[r][c] * params.scale; }
    }
    workgroupBarrier();
    // 2. Softmax, one row an invocation.
    let count = min(TILE, params.keys - j);
    if (index < TILE) {
      let span = keys_of(min(first + index, params.queries - 1u));
      var higher = top[index];
      for (var c = 0u; c < count; c++) {
        var score = HIDDEN;
        if (j + c >= span.x && j + c < span.y) { score = masked(weights[index * TILE + c], b, h, first + index, j + c); }
        weights[index * TILE + c] = score;
        higher = max(higher, score);
      }
      var sum = 0.0;
      for (var c = 0u; c < count; c++) {
        let score = weights[index * TILE + c];
        let weight = select(exp(score - higher), 0.0, score <= HIDDEN);
        sum += weight;
        weights[index * TILE + c] = weight * kept(b, h, first + index, j + c);
      }
      shrink[index] = exp(top[index] - higher);
      total[index] = total[index] * shrink[index] + sum;
      top[index] = higher;
    }
    // 3. Their sums of values, 32 columns at a time.
    for (var d = 0u; d < params.width; d += TILE) {
      for (var n = index; n < TILE * TILE; n += INVOCATIONS) {
        let row = n / TILE;
        let c = d + n % TILE;
        values[n] = 0.0;
        if (c < params.width && j + row < params.keys) { values[n] = f32(v[v_at(b, h, j + row) + c]); }
      }
      workgroupBarrier();
      var out = array<vec4<f32>, 4>();
      for (var n = 0u; n < count; n++) {
        let at = n * TILE + 4u * local.x;
        let columns = vec4<f32>(values[at], values[at + 1u], values[at + 2u], values[at + 3u]);
        for (var r = 0u; r < 4u; r++) { out[r] = fma(vec4<f32>(weights[(4u * local.y + r) * TILE + n]), columns, out[r]); }
      }
      for (var r = 0u; r < 4u; r++) {
        let row = 4u * local.y + r;
        if (first + row >= params.queries) { continue; }
        var factor = 1.0;
        if (j + TILE >= tile.y && total[row] != 0.0) { factor = 1.0 / total[row]; }
        let at = out_at(b, h, first + row) + d + 4u * local.x;
        for (var c = 0u; c < 4u; c++) {
          if (d + 4u * local.x + c >= params.width) { continue; }
          var before = 0.0;
          if (j > tile.x) { before = y[at + c] * shrink[row]; }
          y[at + c] = (before + out[r][c]) * factor;
        }
      }
      workgroupBarrier();
    }
  }
  if (index < TILE && first + index <= last) {
    if (tile.x >= tile.y) {
      for (var d = 0u; d < params.width; d++) { y[out_at(b, h, first + index) + d] = 0.0; }
    }
    logsumexp[statistic(b, h, first + index)] = select(top[index] + log(total[index]), NOWHERE, total[index] == 0.0);
  }
}
