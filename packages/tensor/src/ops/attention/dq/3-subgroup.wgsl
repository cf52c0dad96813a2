// Gradient of the queries, step 3: queries in lanes, keys and values handed round by subgroup broadcast.
// Adds to step 2: as in the forward step 3. Each product has a loop of its own: see the end.
// Needs: subgroups of 4 lanes or more (of any size, in any order: see `broadcast.wgsl`), width, offsets and strides multiples of 4.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 17 ms, 8.8 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 191 ms.
@group(0) @binding(1) var<storage, read> q: array<vec4<T>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<T>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<T>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<vec4<T>>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;

// Four columns, from 4d on, of the rows at these places.
fn load_k(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  var x = mat4x4<f32>(vec4<f32>(k[at.x + d]), vec4<f32>(k[at.y + d]), vec4<f32>(), vec4<f32>());
  if (LANES == 4u) {
    x[2] = vec4<f32>(k[at.z + d]);
    x[3] = vec4<f32>(k[at.w + d]);
  }
  return x;
}
fn load_v(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  var x = mat4x4<f32>(vec4<f32>(v[at.x + d]), vec4<f32>(v[at.y + d]), vec4<f32>(), vec4<f32>());
  if (LANES == 4u) {
    x[2] = vec4<f32>(v[at.z + d]);
    x[3] = vec4<f32>(v[at.w + d]);
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
  let tile = keys_of_tile(tile_first, min(tile_first + ROWS * WORKGROUP, params.queries) - 1u);
  var row: array<u32, ROWS>;
  var span: array<vec2<u32>, ROWS>;
  var query: array<u32, ROWS>;
  var gradient: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    row[r] = min(first + r * WORKGROUP, params.queries - 1u);
    span[r] = keys_of(row[r]);
    query[r] = q_at(b, h, row[r]);
    gradient[r] = g_at(b, h, row[r]);
  }
  for (var j = tile.x; j < tile.y; j += 16u) {
    // Where the keys and values begin that this lane loads.
    let keys = rows_of_lane(j, lane, params.keys - 1u);
    let key = params.k_offset + b * params.k_batch + h * params.k_head + keys * params.k_row;
    let value = params.v_offset + b * params.v_batch + h * params.v_head + keys * params.v_row;
    // Of row r and the four keys from j + 4t on: w[4r + t] scores, then slopes (gradients of the scores); u[4r + t] g · v.
    var w = array<vec4<f32>, 4u * ROWS>();
    var u = array<vec4<f32>, 4u * ROWS>();
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) { x[r] = vec4<f32>(q[query[r] + d]); }
      let k_n = load_k(key, d);
      let y_0 = rows_0_to_3(k_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r] = add_dots(w[4u * r], x[r], y_0); }
      let y_1 = rows_4_to_7(k_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 1u] = add_dots(w[4u * r + 1u], x[r], y_1); }
      let y_2 = rows_8_to_11(k_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 2u] = add_dots(w[4u * r + 2u], x[r], y_2); }
      let y_3 = rows_12_to_15(k_n);
      for (var r = 0u; r < ROWS; r++) { w[4u * r + 3u] = add_dots(w[4u * r + 3u], x[r], y_3); }
    }
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) { x[r] = vec4<f32>(g[gradient[r] + d]); }
      let v_n = load_v(value, d);
      let y_0 = rows_0_to_3(v_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r] = add_dots(u[4u * r], x[r], y_0); }
      let y_1 = rows_4_to_7(v_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 1u] = add_dots(u[4u * r + 1u], x[r], y_1); }
      let y_2 = rows_8_to_11(v_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 2u] = add_dots(u[4u * r + 2u], x[r], y_2); }
      let y_3 = rows_12_to_15(v_n);
      for (var r = 0u; r < ROWS; r++) { u[4u * r + 3u] = add_dots(u[4u * r + 3u], x[r], y_3); }
    }
    // Component r: bits of the 16 keys that row r may attend to, and that dropout keeps.
    var allowed = vec4<u32>();
    var keep = vec4<u32>();
    var all_rows = 0xffffu;
    if (MASK == 1u && !MASK_PER_QUERY) { all_rows = mask_16_keys(b, h, 0u, j); }
    for (var r = 0u; r < ROWS; r++) {
      let i = min(first + r * WORKGROUP, params.queries - 1u);
      allowed[r] = all_rows & allowed_16_keys(b, h, i, j, span[r]);
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
      if (j > tile.x) {
        for (var r = 0u; r < ROWS; r++) { x[r] = dq[out_at(b, h, row[r]) + d]; }
      }
      let k_n = load_k(key, d);
      let y_0 = rows_0_to_3(k_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r], y_0); }
      let y_1 = rows_4_to_7(k_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 1u], y_1); }
      let y_2 = rows_8_to_11(k_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 2u], y_2); }
      let y_3 = rows_12_to_15(k_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 3u], y_3); }
      for (var r = 0u; r < ROWS; r++) {
        if (first + r * WORKGROUP < params.queries) { dq[out_at(b, h, row[r]) + d] = x[r]; }
      }
    }
  }
  if (tile.x >= tile.y) {
    for (var r = 0u; r < ROWS; r++) {
      if (first + r * WORKGROUP < params.queries) {
        for (var d = 0u; d < params.width / 4u; d++) { dq[out_at(b, h, row[r]) + d] = vec4<f32>(); }
      }
    }
  }
}

// What did not help: see the end of the forward step 3. Both products in one loop: 15.4 ms in place of 13.9 with 4 rows, no difference
// with 2. Four rows in place of two: 13.9 ms in place of 16.4, and 0.8 s more to compile.
