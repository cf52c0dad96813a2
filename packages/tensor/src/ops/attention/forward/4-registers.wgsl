// Attention forward, step 4: two queries an invocation in registers, eight keys at a time, and nothing shared.
// Adds to step 1: a key is loaded once for two queries, softmax and output are touched once for eight keys, and all of it is vec4 and
// mat4x4 arithmetic: x * m is the product of one row with four, m * w four rows with their weights. No subgroups, no workgroup
// memory, no barrier.
// Needs: width, offsets and strides multiples of 4.
// Measured on a busy llvmpipe (subgroups of 8), CPU time of 16 x 12 heads, 64 tokens, 32 wide: 28 ms, 3.5 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 32 ms.
@group(0) @binding(1) var<storage, read> q: array<vec4<T>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<T>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<T>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> logsumexp: array<f32>;

fn load_k(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(k[at.x + d]), vec4<f32>(k[at.y + d]), vec4<f32>(k[at.z + d]), vec4<f32>(k[at.w + d]));
}
fn load_v(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(v[at.x + d]), vec4<f32>(v[at.y + d]), vec4<f32>(v[at.z + d]), vec4<f32>(v[at.w + d]));
}

// What a query has so far: largest score, sum of the weights, and by how much these eight keys shrink what was summed before.
struct Row { top: f32, total: f32, shrink: f32 }

// Scores of eight keys become weights.
fn soften(row: ptr<function, Row>, low: ptr<function, vec4<f32>>, high: ptr<function, vec4<f32>>, b: u32, h: u32, i: u32, j: u32, span: vec2<u32>) {
  var s = *low * params.scale;
  var t = *high * params.scale;
  if (MASK == 2u) {
    s += added_4(mask_at(b, h, i, j), params.mask_key);
    t += added_4(mask_at(b, h, i, j + 4u), params.mask_key);
  }
  var bits = inside_16(j, span);
  if (MASK == 1u) { bits &= mask_16_keys(b, h, i, j); }
  s = hide_4(s, bits, 0u);
  t = hide_4(t, bits, 4u);
  let highest = max(s, t);
  let top = max((*row).top, max(max(highest.x, highest.y), max(highest.z, highest.w)));
  s = select(exp(s - top), vec4<f32>(), s <= vec4<f32>(HIDDEN));
  t = select(exp(t - top), vec4<f32>(), t <= vec4<f32>(HIDDEN));
  (*row).shrink = exp((*row).top - top);
  (*row).top = top;
  (*row).total = (*row).total * (*row).shrink + dot(s + t, vec4<f32>(1.0));
  let keep = keep_8_keys(b, h, i, j);
  *low = s * kept_4(keep, 0u);
  *high = t * kept_4(keep, 4u);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let b = group.z;
  let h = group.y;
  let first = group.x * 2u * WORKGROUP;
  let tile = keys_of_tile(first, min(first + 2u * WORKGROUP, params.queries) - 1u);
  let own_0 = first + index < params.queries;
  let own_1 = first + WORKGROUP + index < params.queries;
  let i_0 = min(first + index, params.queries - 1u);
  let i_1 = min(first + WORKGROUP + index, params.queries - 1u);
  let span_0 = keys_of(i_0);
  let span_1 = keys_of(i_1);
  let query_0 = q_at(b, h, i_0);
  let query_1 = q_at(b, h, i_1);
  let out_0 = out_at(b, h, i_0);
  let out_1 = out_at(b, h, i_1);
  var row_0 = Row(HIDDEN, 0.0, 0.0);
  var row_1 = Row(HIDDEN, 0.0, 0.0);
  for (var j = tile.x; j < tile.y; j += 8u) {
    let keys = min(vec4<u32>(j) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.keys - 1u));
    let more = min(vec4<u32>(j) + vec4<u32>(4u, 5u, 6u, 7u), vec4<u32>(params.keys - 1u));
    let k_base = k_at(b, h, 0u);
    let v_base = v_at(b, h, 0u);
    // Scores, then weights, of a query and four keys each.
    var w_0 = vec4<f32>();
    var w_1 = vec4<f32>();
    var u_0 = vec4<f32>();
    var u_1 = vec4<f32>();
    for (var d = 0u; d < params.width / 4u; d++) {
      let x = vec4<f32>(q[query_0 + d]);
      let z = vec4<f32>(q[query_1 + d]);
      let m = load_k(k_base + keys * params.k_row, d);
      w_0 += x * m;
      w_1 += z * m;
      let n = load_k(k_base + more * params.k_row, d);
      u_0 += x * n;
      u_1 += z * n;
    }
    soften(&row_0, &w_0, &u_0, b, h, i_0, j, span_0);
    soften(&row_1, &w_1, &u_1, b, h, i_1, j, span_1);
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = vec4<f32>();
      var z = vec4<f32>();
      if (j > tile.x) {
        x = y[out_0 + d] * row_0.shrink;
        z = y[out_1 + d] * row_1.shrink;
      }
      let m = load_v(v_base + keys * params.v_row, d);
      x += m * w_0;
      z += m * w_1;
      let n = load_v(v_base + more * params.v_row, d);
      x += n * u_0;
      z += n * u_1;
      if (own_0) { y[out_0 + d] = x; }
      if (own_1) { y[out_1 + d] = z; }
    }
  }
  // Divided by the sum of the weights; zero where nothing was attended to.
  let factor_0 = select(1.0 / row_0.total, 0.0, row_0.total == 0.0);
  let factor_1 = select(1.0 / row_1.total, 0.0, row_1.total == 0.0);
  for (var d = 0u; d < params.width / 4u; d++) {
    if (own_0) { y[out_0 + d] = select(y[out_0 + d] * factor_0, vec4<f32>(), tile.x >= tile.y); }
    if (own_1) { y[out_1 + d] = select(y[out_1 + d] * factor_1, vec4<f32>(), tile.x >= tile.y); }
  }
  if (own_0) { logsumexp[statistic(b, h, i_0)] = select(row_0.top + log(row_0.total), NOWHERE, row_0.total == 0.0); }
  if (own_1) { logsumexp[statistic(b, h, i_1)] = select(row_1.top + log(row_1.total), NOWHERE, row_1.total == 0.0); }
}

// What did not help: workgroups of 16 in place of 8 invocations, no difference on either adapter.
