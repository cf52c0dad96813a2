// Gradients of keys and values, step 3 of 3: keys in lanes, queries and gradients handed round by subgroup broadcast.
// Adds to step 2: as in the forward step 3 with queries and keys in each other's place. With dropout, eight lanes share the random
// blocks of their eight keys by subgroupShuffle; that takes neighbouring invocations to be neighbouring lanes.
// Needs: subgroups of 8 lanes or more (of any size), width, offsets and strides multiples of 4.
// Measured on llvmpipe (subgroups of 8, 2 busy cores), 16 x 12 heads, 64 tokens, 64 wide: 
// 45 ms of CPU time.
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_invocation_id) invocation: u32,
) {
  let b = group.z;
  let h = group.y;
  let lane = invocation % 8u;
  let first = group.x * ROWS * WORKGROUP + index;
  var row: array<u32, ROWS>;
  var key: array<u32, ROWS>;
  var value: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    row[r] = min(first + r * WORKGROUP, params.keys - 1u);
    key[r] = k_at(b, h, row[r]);
    value[r] = v_at(b, h, row[r]);
  }
  for (var i = 0u; i < params.queries; i += 16u) {
    let i_0 = min(i + lane, params.queries - 1u);
    let i_1 = min(i + 8u + lane, params.queries - 1u);
    let query_0 = q_at(b, h, i_0);
    let query_1 = q_at(b, h, i_1);
    let gradient_0 = g_at(b, h, i_0);
    let gradient_1 = g_at(b, h, i_1);
    // Of key r and the four queries from i + 4t on: w[4r + t] scores, then weights; u[4r + t] g · v, then slopes.
    var w = array<vec4<f32>, 4u * ROWS>();
    var u = array<vec4<f32>, 4u * ROWS>();
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      var z = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) {
        x[r] = k[key[r] + d];
        z[r] = v[value[r] + d];
      }
      let q_0 = q[query_0 + d];
      let q_1 = q[query_1 + d];
      let y_0 = lanes_0_to_3(q_0);
      for (var r = 0u; r < ROWS; r++) { w[4u * r] = add_dots(w[4u * r], x[r], y_0); }
      let y_1 = lanes_4_to_7(q_0);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 1u] = add_dots(w[4u * r + 1u], x[r], y_1); }
      let y_2 = lanes_0_to_3(q_1);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 2u] = add_dots(w[4u * r + 2u], x[r], y_2); }
      let y_3 = lanes_4_to_7(q_1);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 3u] = add_dots(w[4u * r + 3u], x[r], y_3); }
      let g_0 = g[gradient_0 + d];
      let g_1 = g[gradient_1 + d];
      let y_4 = lanes_0_to_3(g_0);
      for (var r = 0u; r < ROWS; r++) { u[4u * r] = add_dots(u[4u * r], z[r], y_4); }
      let y_5 = lanes_4_to_7(g_0);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 1u] = add_dots(u[4u * r + 1u], z[r], y_5); }
      let y_6 = lanes_0_to_3(g_1);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 2u] = add_dots(u[4u * r + 2u], z[r], y_6); }
      let y_7 = lanes_4_to_7(g_1);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 3u] = add_dots(u[4u * r + 3u], z[r], y_7); }
    }
    let statistics_0 = statistics[statistic(b, h, i_0)];
    let statistics_1 = statistics[statistic(b, h, i_1)];
    let logsumexp = mat4x4<f32>(
      scalars_0_to_3(statistics_0.x), scalars_4_to_7(statistics_0.x), scalars_0_to_3(statistics_1.x), scalars_4_to_7(statistics_1.x));
    let delta = mat4x4<f32>(
      scalars_0_to_3(statistics_0.y), scalars_4_to_7(statistics_0.y), scalars_0_to_3(statistics_1.y), scalars_4_to_7(statistics_1.y));
    // Component r: bits of the 16 queries that may attend to key r, and for which dropout keeps it.
    var allowed = vec4<u32>();
    var keep = vec4<u32>();
    for (var r = 0u; r < ROWS; r++) {
      let key_r = min(first + r * WORKGROUP, params.keys - 1u);
      allowed[r] = allowed_16_queries(b, h, i, key_r);
      if (DROPOUT) {
        // The eight keys of neighbouring lanes share their random blocks: each lane makes those of two queries.
        let group_r = first - lane + r * WORKGROUP;
        let own = keep_8_keys(b, h, i_0, group_r) | (keep_8_keys(b, h, i_1, group_r) << 8u);
        for (var n = 0u; n < 8u; n++) {
          let bits = subgroupShuffle(own, invocation - lane + n) >> lane;
          keep[r] |= ((bits & 1u) << n) | (((bits >> 8u) & 1u) << (n + 8u));
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
      var z = array<vec4<f32>, ROWS>();
      if (i > 0u) {
        for (var r = 0u; r < ROWS; r++) {
          x[r] = dk[out_at(b, h, row[r]) + d];
          z[r] = dv[out_at(b, h, row[r]) + d];
        }
      }
      let q_0 = q[query_0 + d];
      let q_1 = q[query_1 + d];
      let y_0 = lanes_0_to_3(q_0);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r], y_0); }
      let y_1 = lanes_4_to_7(q_0);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 1u], y_1); }
      let y_2 = lanes_0_to_3(q_1);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 2u], y_2); }
      let y_3 = lanes_4_to_7(q_1);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 3u], y_3); }
      let g_0 = g[gradient_0 + d];
      let g_1 = g[gradient_1 + d];
      let y_4 = lanes_0_to_3(g_0);
      for (var r = 0u; r < ROWS; r++) { z[r] = add_rows(z[r], w[4u * r], y_4); }
      let y_5 = lanes_4_to_7(g_0);
      for (var r = 0u; r < ROWS; r++) { z[r] = add_rows(z[r], w[4u * r + 1u], y_5); }
      let y_6 = lanes_0_to_3(g_1);
      for (var r = 0u; r < ROWS; r++) { z[r] = add_rows(z[r], w[4u * r + 2u], y_6); }
      let y_7 = lanes_4_to_7(g_1);
      for (var r = 0u; r < ROWS; r++) { z[r] = add_rows(z[r], w[4u * r + 3u], y_7); }
      for (var r = 0u; r < ROWS; r++) {
        if (first + r * WORKGROUP < params.keys) {
          dk[out_at(b, h, row[r]) + d] = x[r];
          dv[out_at(b, h, row[r]) + d] = z[r];
        }
      }
    }
  }
}

// What did not help: see the end of the forward step 3. Here 8 queries a step took 46 ms with 2 rows where 16 took 42, and 61 with 4
// rows where 16 took 33 (quieter machine, rows of a head side by side); with the heads of a token side by side, as models have
// them, 4 rows take 39 to 64 and 2 rows 33 to 55.
