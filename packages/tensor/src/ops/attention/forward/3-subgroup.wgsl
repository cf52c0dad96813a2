// Attention forward, step 3 of 3: queries in lanes, keys and values handed round by subgroup broadcast.
// Adds to step 2: each of eight lanes loads a vec4 of one key (then of one value), and broadcasts bring it to all; an invocation
// owns ROWS whole queries, so the softmax of a row needs no other lane. No workgroup memory, no barrier. The output is added up
// in storage, 16 keys at a time; the loop over the width stays a loop, so one program serves every width.
// Needs: subgroups of 8 lanes or more (of any size: only lanes 0 to 7 are named), width, offsets and strides multiples of 4.
// Measured on llvmpipe (subgroups of 8, 2 busy cores), 16 x 12 heads, 64 tokens, 64 wide: 
// 17 ms of CPU time, 12 GFLOP per CPU-second.
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> logsumexp: array<f32>;

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
  var top: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  var shrink: array<f32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    row[r] = min(first + r * WORKGROUP, params.queries - 1u);
    query[r] = q_at(b, h, row[r]);
    top[r] = HIDDEN;
  }
  var end = params.keys;
  if (CAUSAL) { end = min(end, (group.x + 1u) * ROWS * WORKGROUP); }
  for (var j = 0u; j < end; j += 16u) {
    // Each lane loads one of the keys j..j+7 and one of j+8..j+15.
    let key_0 = k_at(b, h, min(j + lane, params.keys - 1u));
    let key_1 = k_at(b, h, min(j + 8u + lane, params.keys - 1u));
    // w[4r + t]: scores, then weights, of row r and the four keys from j + 4t on.
    var w = array<vec4<f32>, 4u * ROWS>();
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      for (var r = 0u; r < ROWS; r++) { x[r] = q[query[r] + d]; }
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
    let value_0 = v_at(b, h, min(j + lane, params.keys - 1u));
    let value_1 = v_at(b, h, min(j + 8u + lane, params.keys - 1u));
    let last = j + 16u >= end;
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = array<vec4<f32>, ROWS>();
      if (j > 0u) {
        for (var r = 0u; r < ROWS; r++) { x[r] = y[out_at(b, h, row[r]) + d] * shrink[r]; }
      }
      let v_0 = v[value_0 + d];
      let v_1 = v[value_1 + d];
      let y_0 = lanes_0_to_3(v_0);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r], y_0); }
      let y_1 = lanes_4_to_7(v_0);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 1u], y_1); }
      let y_2 = lanes_0_to_3(v_1);
      for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 2u], y_2); }
      let y_3 = lanes_4_to_7(v_1);
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
