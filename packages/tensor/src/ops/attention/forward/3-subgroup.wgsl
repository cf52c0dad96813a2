// Attention forward, step 3: queries in lanes, keys and values handed round by subgroup broadcast.
// Adds to step 2: each of LANES lanes loads a vec4 of some of sixteen keys (then of values), and broadcasts bring it to all; an
// invocation owns ROWS whole queries, so the softmax of a row needs no other lane. No workgroup memory, no barrier. The output is
// added up in storage, 16 keys at a time; the loop over the width stays a loop, so one program serves every width.
// Needs: subgroups of 4 lanes or more (of any size, in any order: see `broadcast.wgsl`), width, offsets and strides multiples of 4.
// Measured on llvmpipe (subgroups of 8, 2 busy cores), 16 x 12 heads, 64 tokens, 64 wide: 
// 17 ms of CPU time, 12 GFLOP per CPU-second.
@group(0) @binding(1) var<storage, read> q: array<vec4<T>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<T>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<T>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> logsumexp: array<f32>;

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
  var top: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  var shrink: array<f32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    row[r] = min(first + r * WORKGROUP, params.queries - 1u);
    span[r] = keys_of(row[r]);
    query[r] = q_at(b, h, row[r]);
    top[r] = HIDDEN;
  }
  for (var j = tile.x; j < tile.y; j += 16u) {
    // Where the keys and values begin that this lane loads.
    let keys = rows_of_lane(j, lane, params.keys - 1u);
    let key = params.k_offset + b * params.k_batch + h * params.k_head + keys * params.k_row;
    let value = params.v_offset + b * params.v_batch + h * params.v_head + keys * params.v_row;
    // w[4r + t]: scores, then weights, of row r and the four keys from j + 4t on.
    var w = array<vec4<f32>, 4u * ROWS>();
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
      var highest = vec4<f32>(top[r]);
      for (var t = 0u; t < 4u; t++) {
        var s = w[4u * r + t] * params.scale;
        if (MASK == 2u) { s += added_4(mask_at(b, h, row[r], j + 4u * t), params.mask_key); }
        w[4u * r + t] = hide_4(s, allowed[r], 4u * t);
        highest = max(highest, w[4u * r + t]);
      }
      let higher = max(max(highest.x, highest.y), max(highest.z, highest.w));
      var sum = vec4<f32>();
      for (var t = 0u; t < 4u; t++) {
        let s = w[4u * r + t];
        let weight = select(exp(s - higher), vec4<f32>(), s <= vec4<f32>(HIDDEN));
        sum += weight;
        w[4u * r + t] = weight * kept_4(keep[r], 4u * t);
      }
      shrink[r] = exp(top[r] - higher);
      top[r] = higher;
      total[r] = total[r] * shrink[r] + sum.x + sum.y + sum.z + sum.w;
    }
    let last = j + 16u >= tile.y;
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      if (j > tile.x) {
        for (var r = 0u; r < ROWS; r++) { x[r] = y[out_at(b, h, row[r]) + d] * shrink[r]; }
      }
      let v_n = load_v(value, d);
      let y_0 = rows_0_to_3(v_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r], y_0); }
      let y_1 = rows_4_to_7(v_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 1u], y_1); }
      let y_2 = rows_8_to_11(v_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 2u], y_2); }
      let y_3 = rows_12_to_15(v_n);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 3u], y_3); }
      for (var r = 0u; r < ROWS; r++) {
        if (first + r * WORKGROUP < params.queries) {
          y[out_at(b, h, row[r]) + d] = select(x[r], x[r] / select(total[r], 1.0, total[r] == 0.0), last);
        }
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    if (first + r * WORKGROUP < params.queries) {
      if (tile.x >= tile.y) {
        for (var d = 0u; d < params.width / 4u; d++) { y[out_at(b, h, row[r]) + d] = vec4<f32>(); }
      }
      logsumexp[statistic(b, h, row[r])] = select(top[r] + log(total[r]), NOWHERE, total[r] == 0.0);
    }
  }
}

// What did not help, on llvmpipe (CPU time of the size above, machine quieter than for the figure above):
// - Queries and outputs kept in registers, the width unrolled: 19 ms with 4 rows, 35 with 1, where the loop took 14 to 15; and
//   35 s to compile 4 rows, 7 s for 1, where the loop took 1. At width 32 it ran faster than the loop (7 ms against 9), but
//   took 8 s to compile.
// - 8 keys a step: 19 ms. 32 keys: 15 with 4 rows, 23 with 2. 64 keys: 24, and 4 s to compile.
// - 4 rows in place of 2: no difference beyond the noise, twice the time to compile (6.7 s in place of 2.9 for all three
//   kernels). 8 rows: 17 ms with 32 keys.
// - Workgroups of 16 or 32 in place of 8: no difference.
// - vec4 multiply-adds in place of those by component: a few percent slower.
// - Masks and Philox in the unrolled part: several times as long to compile. They are in loops of their own, as bits.
