// Gradients of queries, keys and values in one kernel.
// The idea: the kernels of `dq` and `dkv` both compute scores, weights and g · v: five products of [L, D] by [D, S] size would do where
// they take seven. Here a group of eight lanes walks over all keys and queries of one head: keys in lanes, as `dkv/3-subgroup`, and
// what belongs to a query is turned by shuffles so that queries are in lanes for dq. One group a head means that dq needs no atomics
// and comes out the same every time; it also means little to do at once: for processors, and GPUs with few cores.
// Loops are short on purpose, one product each: a load takes llvmpipe 2 KiB of code, and a loop over 32 KiB runs from level-2 cache.
// Needs: subgroups of 8 lanes or more (a workgroup of 8 is part of one), 9 storage buffers, width, offsets and strides multiples of 4.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 26 ms, 9.7 GFLOP per CPU-second, where dq and dkv one after the other take 39.
@group(0) @binding(1) var<storage, read> q: array<vec4<T>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<T>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<T>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<vec4<T>>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> dv: array<vec4<f32>>;

// Keys of an invocation, and of the group.
const ROWS = 2u;
const TILE = 16u;

fn dk_at(b: u32, h: u32, j: u32) -> u32 { return b * params.out2_batch + h * params.out2_head + j * params.out2_row; }

// Of two registers that hold rows n and n + distance of a square of 8 x 8: swaps the parts that lie across its diagonal.
fn swap(low: vec4<f32>, high: vec4<f32>, upper: bool, distance: u32) -> mat2x4<f32> {
  let got = subgroupShuffleXor(select(high, low, upper), distance);
  return mat2x4<f32>(select(low, got, upper), select(got, high, upper));
}

// Column `lane` of the square whose row n lane n of the group holds.
fn turn(a: vec4<f32>, b: vec4<f32>, lane: u32) -> mat2x4<f32> {
  let x = swap(vec4<f32>(a.xz, b.xz), vec4<f32>(a.yw, b.yw), (lane & 1u) != 0u, 1u);
  let y = swap(vec4<f32>(x[0].x, x[1].x, x[0].z, x[1].z), vec4<f32>(x[0].y, x[1].y, x[0].w, x[1].w), (lane & 2u) != 0u, 2u);
  return swap(vec4<f32>(y[0].xy, y[1].xy), vec4<f32>(y[0].zw, y[1].zw), (lane & 4u) != 0u, 4u);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
  let h = group.y;
  // All keys and queries of an entry of the batch, or of one of the packed sequences; the last group of these is for the padding.
  var b = group.z;
  var keys = vec2<u32>(0u, params.keys);
  var queries = vec2<u32>(0u, params.queries);
  if (PACKED) {
    b = 0u;
    keys.x = cu_seqlens(group.z);
    if (group.z < params.sequences) { keys.y = cu_seqlens(group.z + 1u); }
    queries = keys;
    if (group.z == params.sequences) {
      for (var n = keys.x + lane; n < keys.y; n += 8u) {
        for (var d = 0u; d < params.width / 4u; d++) {
          dq[out_at(b, h, n) + d] = vec4<f32>();
          dk[dk_at(b, h, n) + d] = vec4<f32>();
          dv[dk_at(b, h, n) + d] = vec4<f32>();
        }
      }
      keys.y = 0u;
    }
  }
  // Tiles begin on multiples of 8, as the random blocks of dropout do.
  for (var first = keys.x & ~7u; first < keys.y; first += TILE) {
    var row: array<u32, ROWS>;
    var own: array<bool, ROWS>;
    var key: array<u32, ROWS>;
    var value: array<u32, ROWS>;
    var gradient_row: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      let n = first + 8u * r + lane;
      own[r] = n >= keys.x && n < keys.y;
      row[r] = min(n, params.keys - 1u);
      key[r] = k_at(b, h, row[r]);
      value[r] = v_at(b, h, row[r]);
      gradient_row[r] = dk_at(b, h, row[r]);
    }
    let start = queries.x & ~7u;
    var begin = start;
    if (CAUSAL) { begin = max(begin, first); }
    if (begin >= queries.y) {
      for (var d = 0u; d < params.width / 4u; d++) {
        for (var r = 0u; r < ROWS; r++) {
          if (own[r]) {
            dk[gradient_row[r] + d] = vec4<f32>();
            dv[gradient_row[r] + d] = vec4<f32>();
          }
        }
      }
    }
    for (var i = begin; i < queries.y; i += 16u) {
      // 1. Scores and g · v. Of key r and the four queries from i + 4t on: w[4r + t] and u[4r + t].
      let loaded = rows_of_lane(i, lane, params.queries - 1u);
      let query = params.q_offset + b * params.q_batch + h * params.q_head + loaded * params.q_row;
      let gradient = params.g_offset + b * params.g_batch + h * params.g_head + loaded * params.g_row;
      var w = array<vec4<f32>, 4u * ROWS>();
      var u = array<vec4<f32>, 4u * ROWS>();
      for (var d = 0u; d < params.width / 4u; d++) {
        var x = array<vec4<f32>, ROWS>();
        for (var r = 0u; r < ROWS; r++) { x[r] = vec4<f32>(k[key[r] + d]); }
        let q_n = mat4x4<f32>(vec4<f32>(q[query.x + d]), vec4<f32>(q[query.y + d]), vec4<f32>(), vec4<f32>());
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
        let g_n = mat4x4<f32>(vec4<f32>(g[gradient.x + d]), vec4<f32>(g[gradient.y + d]), vec4<f32>(), vec4<f32>());
        let y_0 = rows_0_to_3(g_n);
        for (var r = 0u; r < ROWS; r++) { u[4u * r] = add_dots(u[4u * r], x[r], y_0); }
        let y_1 = rows_4_to_7(g_n);
        for (var r = 0u; r < ROWS; r++) { u[4u * r + 1u] = add_dots(u[4u * r + 1u], x[r], y_1); }
        let y_2 = rows_8_to_11(g_n);
        for (var r = 0u; r < ROWS; r++) { u[4u * r + 2u] = add_dots(u[4u * r + 2u], x[r], y_2); }
        let y_3 = rows_12_to_15(g_n);
        for (var r = 0u; r < ROWS; r++) { u[4u * r + 3u] = add_dots(u[4u * r + 3u], x[r], y_3); }
      }
      // 2. w becomes the weights after dropout, u the slopes (gradients of the scores).
      let zero = vec2<f32>();
      let at = statistic(b, h, 0u) + loaded;
      let s_n = mat4x4<f32>(vec4<f32>(statistics[at.x], zero), vec4<f32>(statistics[at.y], zero), vec4<f32>(), vec4<f32>());
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
        var span = queries;
        if (CAUSAL) { span.x = max(span.x, first + 8u * r + lane); }
        if (own[r]) { allowed[r] = allowed_16_queries(b, h, i, row[r], span); }
        if (DROPOUT) {
          // The eight keys of the lanes share their random blocks: each lane makes those of two queries.
          let first_r = first + 8u * r;
          let made = keep_8_keys(b, h, loaded.x, first_r) | (keep_8_keys(b, h, loaded.y, first_r) << 8u);
          for (var n = 0u; n < 8u; n++) {
            let bits = subgroupShuffle(made, n) >> lane;
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
      // 3. Their sums of queries and gradients.
      for (var d = 0u; d < params.width / 4u; d++) {
        var x = array<vec4<f32>, ROWS>();
        if (i > begin) {
          for (var r = 0u; r < ROWS; r++) { x[r] = dk[gradient_row[r] + d]; }
        }
        let q_n = mat4x4<f32>(vec4<f32>(q[query.x + d]), vec4<f32>(q[query.y + d]), vec4<f32>(), vec4<f32>());
        let y_0 = rows_0_to_3(q_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r], y_0); }
        let y_1 = rows_4_to_7(q_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 1u], y_1); }
        let y_2 = rows_8_to_11(q_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 2u], y_2); }
        let y_3 = rows_12_to_15(q_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], u[4u * r + 3u], y_3); }
        for (var r = 0u; r < ROWS; r++) {
          if (own[r]) { dk[gradient_row[r] + d] = x[r]; }
        }
      }
      for (var d = 0u; d < params.width / 4u; d++) {
        var x = array<vec4<f32>, ROWS>();
        if (i > begin) {
          for (var r = 0u; r < ROWS; r++) { x[r] = dv[gradient_row[r] + d]; }
        }
        let g_n = mat4x4<f32>(vec4<f32>(g[gradient.x + d]), vec4<f32>(g[gradient.y + d]), vec4<f32>(), vec4<f32>());
        let y_0 = rows_0_to_3(g_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r], y_0); }
        let y_1 = rows_4_to_7(g_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 1u], y_1); }
        let y_2 = rows_8_to_11(g_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 2u], y_2); }
        let y_3 = rows_12_to_15(g_n);
        for (var r = 0u; r < ROWS; r++) { x[r] = add_rows(x[r], w[4u * r + 3u], y_3); }
        for (var r = 0u; r < ROWS; r++) {
          if (own[r]) { dv[gradient_row[r] + d] = x[r]; }
        }
      }
      // 4. Slopes of queries in lanes: low[m] and high[m] of queries i + lane and i + 8 + lane, and the four keys from first + 4m on.
      var low = array<vec4<f32>, 4>();
      var high = array<vec4<f32>, 4>();
      for (var r = 0u; r < ROWS; r++) {
        let a = turn(u[4u * r], u[4u * r + 1u], lane);
        low[2u * r] = a[0];
        low[2u * r + 1u] = a[1];
        let c = turn(u[4u * r + 2u], u[4u * r + 3u], lane);
        high[2u * r] = c[0];
        high[2u * r + 1u] = c[1];
      }
      let low_row = out_at(b, h, loaded.x);
      let high_row = out_at(b, h, loaded.y);
      let low_own = i + lane >= queries.x && i + lane < queries.y;
      let high_own = i + 8u + lane >= queries.x && i + 8u + lane < queries.y;
      for (var d = 0u; d < params.width / 4u; d++) {
        var x = vec4<f32>();
        var z = vec4<f32>();
        if (first > start) {
          x = dq[low_row + d];
          z = dq[high_row + d];
        }
        let k_0 = vec4<f32>(k[key[0] + d]);
        let y_0 = lanes_0_to_3(k_0);
        x = add_rows(x, low[0], y_0);
        z = add_rows(z, high[0], y_0);
        let y_1 = lanes_4_to_7(k_0);
        x = add_rows(x, low[1], y_1);
        z = add_rows(z, high[1], y_1);
        let k_1 = vec4<f32>(k[key[1] + d]);
        let y_2 = lanes_0_to_3(k_1);
        x = add_rows(x, low[2], y_2);
        z = add_rows(z, high[2], y_2);
        let y_3 = lanes_4_to_7(k_1);
        x = add_rows(x, low[3], y_3);
        z = add_rows(z, high[3], y_3);
        if (low_own) { dq[low_row + d] = x; }
        if (high_own) { dq[high_row + d] = z; }
      }
    }
  }
}

// What did not help, on llvmpipe (CPU time of 16 x 12 heads, 64 tokens, dq, dk, dv and delta, busy machine):
// - 4 keys an invocation: 23 ms in place of 26 at a width of 32, no difference at 64, and twice the time to compile (4.3 s, 2.2).
// - Both products of step 1, or both of step 3, in one loop: a tenth to a fifth slower (in dkv, where it was tried).
// - Turning the slopes by workgroup memory: a barrier is cheap in a group of 8 (34 ns), but a load or store of a vec4 takes 11 to 13 ns
//   there, not much less than from storage (15 ns); by shuffles it takes none.
