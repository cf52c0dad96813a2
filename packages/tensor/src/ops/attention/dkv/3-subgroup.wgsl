// Gradients of keys and values, step 3: keys in lanes, queries and gradients handed round by subgroup broadcast.
// Adds to step 2: as in the forward step 3 with queries and keys in each other's place. With dropout, the lanes of a group share the
// random blocks of their keys by subgroupShuffle where neighbouring invocations are neighbouring lanes; the kernel looks whether
// they are, and where not each makes all of its own.
// Needs: subgroups of 4 lanes or more (of any size, in any order), width, offsets and strides multiples of 4.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 23 ms, 8.8 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 203 ms.
@group(0) @binding(1) var<storage, read> q: array<vec4<T>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<T>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<T>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<vec4<T>>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;

// Four columns, from 4d on, of the rows at these places.
fn load_q(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  var x = mat4x4<f32>(vec4<f32>(q[at.x + d]), vec4<f32>(q[at.y + d]), vec4<f32>(), vec4<f32>());
  if (LANES == 4u) {
    x[2] = vec4<f32>(q[at.z + d]);
    x[3] = vec4<f32>(q[at.w + d]);
  }
  return x;
}
fn load_g(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  var x = mat4x4<f32>(vec4<f32>(g[at.x + d]), vec4<f32>(g[at.y + d]), vec4<f32>(), vec4<f32>());
  if (LANES == 4u) {
    x[2] = vec4<f32>(g[at.z + d]);
    x[3] = vec4<f32>(g[at.w + d]);
  }
  return x;
}

// (logsumexp, delta, 0, 0) of the queries at these places.
fn load_statistics(at: vec4<u32>) -> mat4x4<f32> {
  let zero = vec2<f32>();
  var x = mat4x4<f32>(vec4<f32>(statistics[at.x], zero), vec4<f32>(statistics[at.y], zero), vec4<f32>(), vec4<f32>());
  if (LANES == 4u) {
    x[2] = vec4<f32>(statistics[at.z], zero);
    x[3] = vec4<f32>(statistics[at.w], zero);
  }
  return x;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_invocation_id) invocation: u32,
) {
  let b = group.z;
  let h = group.y;
  let lane = invocation % LANES;
  let tile_first = group.x * ROWS * WORKGROUP;
  let first = tile_first + index;
  let tile = queries_of_tile(tile_first, min(tile_first + ROWS * WORKGROUP, params.keys) - 1u);
  var row: array<u32, ROWS>;
  var span: array<vec2<u32>, ROWS>;
  var key: array<u32, ROWS>;
  var value: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    row[r] = min(first + r * WORKGROUP, params.keys - 1u);
    span[r] = queries_of(row[r]);
    key[r] = k_at(b, h, row[r]);
    value[r] = v_at(b, h, row[r]);
  }
  var neighbours = false;
  if (DROPOUT) { neighbours = subgroupAll(subgroupShuffle(index, invocation - lane) + lane == index && index % LANES == lane); }
  for (var i = tile.x; i < tile.y; i += 16u) {
    // Where the queries and gradients begin that this lane loads.
    let queries = rows_of_lane(i, lane, params.queries - 1u);
    let query = params.q_offset + b * params.q_batch + h * params.q_head + queries * params.q_row;
    let gradient = params.g_offset + b * params.g_batch + h * params.g_head + queries * params.g_row;
    // Of key r and the four queries from i + 4t on: w[4r + t] scores, then weights; u[4r + t] g · v, then slopes.
    var w = array<vec4<f32>, 4u * ROWS>();
    var u = array<vec4<f32>, 4u * ROWS>();
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) { x[r] = vec4<f32>(k[key[r] + d]); }
      let q_n = load_q(query, d);
      let y_0 = rows_0_to_3(q_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r] = add_dots(w[4u * r], x[r], y_0); }
      let y_1 = rows_4_to_7(q_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 1u] = add_dots(w[4u * r + 1u], x[r], y_1); }
      let y_2 = rows_8_to_11(q_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 2u] = add_dots(w[4u * r + 2u], x[r], y_2); }
      let y_3 = rows_12_to_15(q_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 3u] = add_dots(w[4u * r + 3u], x[r], y_3); }
    }
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) { x[r] = vec4<f32>(v[value[r] + d]); }
      let g_n = load_g(gradient, d);
      let y_0 = rows_0_to_3(g_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r] = add_dots(u[4u * r], x[r], y_0); }
      let y_1 = rows_4_to_7(g_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 1u] = add_dots(u[4u * r + 1u], x[r], y_1); }
      let y_2 = rows_8_to_11(g_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 2u] = add_dots(u[4u * r + 2u], x[r], y_2); }
      let y_3 = rows_12_to_15(g_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 3u] = add_dots(u[4u * r + 3u], x[r], y_3); }
    }
    let s_n = load_statistics((b * params.heads + h) * params.queries + queries);
    let s_0 = transpose(rows_0_to_3(s_n));
    let s_1 = transpose(rows_4_to_7(s_n));
    let s_2 = transpose(rows_8_to_11(s_n));
    let s_3 = transpose(rows_12_to_15(s_n));
    let logsumexp = mat4x4<f32>(s_0[0], s_1[0], s_2[0], s_3[0]);
    let delta = mat4x4<f32>(s_0[1], s_1[1], s_2[1], s_3[1]);
    // Component r: bits of the 16 queries that may attend to key r, and for which dropout keeps it.
    var allowed = vec4<u32>();
    var keep = vec4<u32>();
    for (var r = 0u; r < ROWS; r++) {
      let key_r = min(first + r * WORKGROUP, params.keys - 1u);
      allowed[r] = allowed_16_queries(b, h, i, key_r, span[r]);
      if (DROPOUT) {
        // Eight neighbouring keys share their random blocks: each lane makes those of the queries it loads.
        let group_r = (first & ~7u) + r * WORKGROUP;
        var own = 0u;
        for (var n = 0u; n < LOADS; n++) { own |= keep_8_keys(b, h, queries[n], group_r) << (8u * n); }
        for (var n = 0u; n < LANES; n++) {
          let bits = subgroupShuffle(own, invocation - lane + n) >> (first & 7u);
          for (var m = 0u; m < LOADS; m++) { keep[r] |= ((bits >> (8u * m)) & 1u) << (n + LANES * m); }
        }
        if (!neighbours) {
          let count = min(params.queries - i, 16u);
          keep[r] = 0u;
          for (var n = 0u; n < count; n++) { keep[r] |= ((keep_8_keys(b, h, i + n, key_r) >> (key_r & 7u)) & 1u) << n; }
        }
      }
    }
    for (var r = 0u; r < ROWS; r++) {
      for (var t = 0u; t < 4u; t++) {
        var s = w[4u * r + t] * params.scale;
        if (MASK == 2u) { s += added_4(mask_at(b, h, i + 4u * t, row[r]), params.mask_row); }
        s = hide_4(s, allowed[r], 4u * t);
        let weight = select(exp(s - logsumexp[t]), vec4<f32>(), s <= vec4<f32>(HIDDEN));
        let used = kept_4(keep[r], 4u * t);
        w[4u * r + t] = weight * used;
        u[4u * r + t] = weight * (u[4u * r + t] * used - delta[t]) * params.scale;
      }
    }
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      if (i > tile.x) {
        for (var r = 0u; r < ROWS; r++) { x[r] = dk[out_at(b, h, row[r]) + d]; }
      }
      let q_n = load_q(query, d);
      let y_0 = rows_0_to_3(q_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r], y_0); }
      let y_1 = rows_4_to_7(q_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 1u], y_1); }
      let y_2 = rows_8_to_11(q_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 2u], y_2); }
      let y_3 = rows_12_to_15(q_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 3u], y_3); }
      for (var r = 0u; r < ROWS; r++) {
        if (first + r * WORKGROUP < params.keys) { dk[out_at(b, h, row[r]) + d] = x[r]; }
      }
    }
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      if (i > tile.x) {
        for (var r = 0u; r < ROWS; r++) { x[r] = dv[out_at(b, h, row[r]) + d]; }
      }
      let g_n = load_g(gradient, d);
      let y_0 = rows_0_to_3(g_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r], y_0); }
      let y_1 = rows_4_to_7(g_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 1u], y_1); }
      let y_2 = rows_8_to_11(g_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 2u], y_2); }
      let y_3 = rows_12_to_15(g_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 3u], y_3); }
      for (var r = 0u; r < ROWS; r++) {
        if (first + r * WORKGROUP < params.keys) { dv[out_at(b, h, row[r]) + d] = x[r]; }
      }
    }
  }
  if (tile.x >= tile.y) {
    for (var r = 0u; r < ROWS; r++) {
      if (first + r * WORKGROUP < params.keys) {
        for (var d = 0u; d < params.width / 4u; d++) {
          dk[out_at(b, h, row[r]) + d] = vec4<f32>();
          dv[out_at(b, h, row[r]) + d] = vec4<f32>();
        }
      }
    }
  }
}

// What did not help: see the end of the forward step 3. Two products in one loop, and both results in another: 24.7 ms in place of 22.1.
// Four rows in place of two: 17.9 ms in place of 22.1, and twice the time to compile (4.2 s in place of 2.4 on a busy machine).
