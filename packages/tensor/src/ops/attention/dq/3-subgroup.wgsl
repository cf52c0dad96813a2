// Gradient of the queries, step 3 of 3: queries in lanes, keys and values handed round by subgroup broadcast.
// Adds to step 2: as in the forward step 3, now with two products (q · k and g · v) in one pass over the width.
// Needs: subgroups of 8 lanes or more (of any size: only lanes 0 to 7 are named), width, offsets and strides multiples of 4.
// Measured on llvmpipe (subgroups of 8, 2 busy cores), 16 x 12 heads, 64 tokens, 64 wide: 
// 27 ms of CPU time.
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;

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
  var query: array<u32, ROWS>;
  var gradient: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    row[r] = min(first + r * WORKGROUP, params.queries - 1u);
    query[r] = q_at(b, h, row[r]);
    gradient[r] = g_at(b, h, row[r]);
  }
  var end = params.keys;
  if (CAUSAL) { end = min(end, (group.x + 1u) * ROWS * WORKGROUP); }
  for (var j = 0u; j < end; j += 16u) {
    let j_0 = min(j + lane, params.keys - 1u);
    let j_1 = min(j + 8u + lane, params.keys - 1u);
    let key_0 = k_at(b, h, j_0);
    let key_1 = k_at(b, h, j_1);
    let value_0 = v_at(b, h, j_0);
    let value_1 = v_at(b, h, j_1);
    // Of row r and the four keys from j + 4t on: w[4r + t] scores, then slopes (gradients of the scores); u[4r + t] g · v.
    var w = array<vec4<f32>, 4u * ROWS>();
    var u = array<vec4<f32>, 4u * ROWS>();
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      var z = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) {
        x[r] = q[query[r] + d];
        z[r] = g[gradient[r] + d];
      }
      let k_0 = k[key_0 + d];
      let k_1 = k[key_1 + d];
      let y_0 = lanes_0_to_3(k_0);
      for (var r = 0u; r < ROWS; r++) { w[4u * r] = add_dots(w[4u * r], x[r], y_0); }
      let y_1 = lanes_4_to_7(k_0);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 1u] = add_dots(w[4u * r + 1u], x[r], y_1); }
      let y_2 = lanes_0_to_3(k_1);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 2u] = add_dots(w[4u * r + 2u], x[r], y_2); }
      let y_3 = lanes_4_to_7(k_1);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 3u] = add_dots(w[4u * r + 3u], x[r], y_3); }
      let v_0 = v[value_0 + d];
      let v_1 = v[value_1 + d];
      let y_4 = lanes_0_to_3(v_0);
      for (var r = 0u; r < ROWS; r++) { u[4u * r] = add_dots(u[4u * r], z[r], y_4); }
      let y_5 = lanes_4_to_7(v_0);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 1u] = add_dots(u[4u * r + 1u], z[r], y_5); }
      let y_6 = lanes_0_to_3(v_1);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 2u] = add_dots(u[4u * r + 2u], z[r], y_6); }
      let y_7 = lanes_4_to_7(v_1);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 3u] = add_dots(u[4u * r + 3u], z[r], y_7); }
    }
    // Component r: bits of the 16 keys that row r may attend to, and that dropout keeps.
    var allowed = vec4<u32>();
    var keep = vec4<u32>();
    var all_rows = 0xffffu;
    if (MASK == 1u && !MASK_PER_QUERY) { all_rows = mask_16_keys(b, h, 0u, j); }
    for (var r = 0u; r < ROWS; r++) {
      let i = min(first + r * WORKGROUP, params.queries - 1u);
      allowed[r] = all_rows & allowed_16_keys(b, h, i, j);
      keep[r] = keep_16_keys(b, h, i, j);
    }
    for (var r = 0u; r < ROWS; r++) {
      let statistics_r = statistics[statistic(b, h, row[r])];
      for (var t = 0u; t < 4u; t++) {
        var s = w[4u * r + t] * params.scale;
        if (MASK == 2u) { s += added_4(mask_at(b, h, row[r], j + 4u * t), params.mask_key); }
        s = hide_4(s, allowed[r], 4u * t);
        let slope = exp(s - statistics_r.x) * (u[4u * r + t] * kept_4(keep[r], 4u * t) - statistics_r.y);
        w[4u * r + t] = select(slope * params.scale, vec4<f32>(), s <= vec4<f32>(HIDDEN));
      }
    }
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      if (j > 0u) {
        for (var r = 0u; r < ROWS; r++) { x[r] = dq[out_at(b, h, row[r]) + d]; }
      }
      let k_0 = k[key_0 + d];
      let k_1 = k[key_1 + d];
      let y_0 = lanes_0_to_3(k_0);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r], y_0); }
      let y_1 = lanes_4_to_7(k_0);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 1u], y_1); }
      let y_2 = lanes_0_to_3(k_1);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 2u], y_2); }
      let y_3 = lanes_4_to_7(k_1);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 3u], y_3); }
      for (var r = 0u; r < ROWS; r++) {
        if (first + r * WORKGROUP < params.queries) { dq[out_at(b, h, row[r]) + d] = x[r]; }
      }
    }
  }
}

// What did not help: see the end of the forward step 3. Here 8 keys a step took 49 ms with 2 rows where 16 took 40 (quieter machine).
