// Attention forward, step 3: queries in lanes, keys and values handed round by subgroup broadcast.
// Adds to step 2: each of LANES lanes loads a vec4 of some of sixteen keys (then of values), and broadcasts bring it to all; an
// invocation owns ROWS whole queries, so the softmax of a row needs no other lane. No workgroup memory, no barrier. The output is
// added up in storage, 16 keys at a time; the loop over the width stays a loop, so one program serves every width.
// Needs: subgroups of 4 lanes or more (of any size, in any order: see `broadcast.wgsl`), width, offsets and strides multiples of 4.
// Measured on a busy llvmpipe (subgroups of 8), CPU time of 16 x 12 heads, 64 tokens, 32 wide: 10.8 ms, 9.3 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 87 ms (two queries an invocation there).
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

// Four queries an invocation (ROWS, on llvmpipe) took 7.5 ms where two took 8.9 in the same run, at a width of 32.
// What limits it there is code: a load of a vec4 by eight lanes is 2 KiB of branches and takes 15 ns, and loops that do not fit into
// 32 KiB of instruction cache lose what a larger tile saves.
// What did not help, on llvmpipe (CPU time; the first lines at a width of 64 on a quieter machine, the others at 32):
// - Queries and outputs kept in registers, the width unrolled: 19 ms with 4 rows, 35 with 1, where the loop took 14 to 15; and
//   35 s to compile 4 rows, 7 s for 1, where the loop took 1.
// - 64 keys a step: 24 ms in place of 15, and 4 s to compile.
// - Workgroups of 16 or 32 in place of 8: no difference.
// - vec4 multiply-adds in place of those by component: a few percent slower.
// - Masks and Philox in the unrolled part: several times as long to compile. They are in loops of their own, as bits.
// - Queries or outputs in private arrays that the loop over the width indexes: 9.0 and 10.3 ms in place of 7.8.
// - 32 keys a step: 7.6 ms in place of 7.4 with 4 rows, 8.9 in place of 9.4 with 2, and twice the time to compile.
// - The loop over the width unrolled by two: 9.9 ms in place of 7.4.
// - The scale multiplied into the keys in place of the scores: no difference.
