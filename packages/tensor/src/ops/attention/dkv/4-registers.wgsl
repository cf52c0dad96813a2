// Gradients of keys and values, step 4: four neighbouring keys an invocation in registers, four queries at a time, nothing shared.
// Adds to step 1: every sum is a product of 4 x 4 matrices, and the four keys share the random blocks of dropout, which `dq` and
// forward have for eight keys each.
// Needs: width, offsets and strides multiples of 4.
// Measured on a busy llvmpipe (subgroups of 8), CPU time with delta of 16 x 12 heads, 64 tokens, 32 wide: 48 ms, 4.2 GFLOP per CPU-second.
// On SwiftShader (subgroups of 4), 4 x 12 heads: 61 ms.
@group(0) @binding(1) var<storage, read> q: array<vec4<T>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<T>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<T>>;
@group(0) @binding(4) var<storage, read> mask: array<M>;
@group(0) @binding(5) var<storage, read> g: array<vec4<T>>;
@group(0) @binding(6) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;

// Four columns, from 4d on, of four rows: a row of the tensor is a column of the matrix.
fn load_q(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(q[at.x + d]), vec4<f32>(q[at.y + d]), vec4<f32>(q[at.z + d]), vec4<f32>(q[at.w + d]));
}
fn load_k(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(k[at.x + d]), vec4<f32>(k[at.y + d]), vec4<f32>(k[at.z + d]), vec4<f32>(k[at.w + d]));
}
fn load_v(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(v[at.x + d]), vec4<f32>(v[at.y + d]), vec4<f32>(v[at.z + d]), vec4<f32>(v[at.w + d]));
}
fn load_g(at: vec4<u32>, d: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(g[at.x + d]), vec4<f32>(g[at.y + d]), vec4<f32>(g[at.z + d]), vec4<f32>(g[at.w + d]));
}

// Weights after dropout, and slopes (gradients of the scores), of one query and the four keys.
struct Pairs { weights: vec4<f32>, slopes: vec4<f32> }

fn soften(q_k: vec4<f32>, g_v: vec4<f32>, b: u32, h: u32, i: u32, j: u32, low: vec4<u32>, high: vec4<u32>) -> Pairs {
  var s = q_k * params.scale;
  if (MASK == 2u) { s += added_4(mask_at(b, h, i, j), params.mask_key); }
  var hidden = (vec4<u32>(i) < low) | (vec4<u32>(i) >= high);
  if (MASK == 1u) {
    let at = mask_at(b, h, i, j);
    let on = vec4<M>(mask[at], mask[at + params.mask_key], mask[at + 2u * params.mask_key], mask[at + 3u * params.mask_key]);
    hidden |= on == vec4<M>();
  }
  hidden |= s <= vec4<f32>(HIDDEN);
  let statistics_i = statistics[statistic(b, h, min(i, params.queries - 1u))];
  let weight = select(exp(s - statistics_i.x), vec4<f32>(), hidden);
  let used = kept_4(keep_8_keys(b, h, i, j) >> (j & 4u), 0u);
  return Pairs(weight * used, weight * (g_v * used - statistics_i.y) * params.scale);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let b = group.z;
  let h = group.y;
  let first = group.x * 4u * WORKGROUP;
  let tile = queries_of_tile(first, min(first + 4u * WORKGROUP, params.keys) - 1u);
  let j = first + 4u * index;
  let last = vec4<u32>(params.keys - 1u);
  let rows = min(vec4<u32>(j) + vec4<u32>(0u, 1u, 2u, 3u), last);
  let own = vec4<u32>(j) + vec4<u32>(0u, 1u, 2u, 3u) <= last;
  let key = k_at(b, h, 0u) + rows * params.k_row;
  let value = v_at(b, h, 0u) + rows * params.v_row;
  let out = out_at(b, h, 0u) + rows * params.out_row;
  let span_0 = queries_of(rows.x);
  let span_1 = queries_of(rows.y);
  let span_2 = queries_of(rows.z);
  let span_3 = queries_of(rows.w);
  let low = vec4<u32>(span_0.x, span_1.x, span_2.x, span_3.x);
  let high = vec4<u32>(span_0.y, span_1.y, span_2.y, span_3.y);
  for (var i = tile.x; i < tile.y; i += 4u) {
    let queries = min(vec4<u32>(i) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.queries - 1u));
    let query = q_at(b, h, 0u) + queries * params.q_row;
    let gradient = g_at(b, h, 0u) + queries * params.g_row;
    // Columns: queries; rows: keys.
    var q_k = mat4x4<f32>();
    for (var d = 0u; d < params.width / 4u; d++) { q_k += transpose(load_k(key, d)) * load_q(query, d); }
    var g_v = mat4x4<f32>();
    for (var d = 0u; d < params.width / 4u; d++) { g_v += transpose(load_v(value, d)) * load_g(gradient, d); }
    let a = soften(q_k[0], g_v[0], b, h, i, j, low, high);
    let c = soften(q_k[1], g_v[1], b, h, i + 1u, j, low, high);
    let e = soften(q_k[2], g_v[2], b, h, i + 2u, j, low, high);
    let f = soften(q_k[3], g_v[3], b, h, i + 3u, j, low, high);
    let weights = transpose(mat4x4<f32>(a.weights, c.weights, e.weights, f.weights));
    let slopes = transpose(mat4x4<f32>(a.slopes, c.slopes, e.slopes, f.slopes));
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = load_q(query, d) * slopes;
      if (i > tile.x) { x += mat4x4<f32>(dk[out.x + d], dk[out.y + d], dk[out.z + d], dk[out.w + d]); }
      if (own.x) { dk[out.x + d] = x[0]; }
      if (own.y) { dk[out.y + d] = x[1]; }
      if (own.z) { dk[out.z + d] = x[2]; }
      if (own.w) { dk[out.w + d] = x[3]; }
    }
    for (var d = 0u; d < params.width / 4u; d++) {
      var x = load_g(gradient, d) * weights;
      if (i > tile.x) { x += mat4x4<f32>(dv[out.x + d], dv[out.y + d], dv[out.z + d], dv[out.w + d]); }
      if (own.x) { dv[out.x + d] = x[0]; }
      if (own.y) { dv[out.y + d] = x[1]; }
      if (own.z) { dv[out.z + d] = x[2]; }
      if (own.w) { dv[out.w + d] = x[3]; }
    }
  }
  if (tile.x >= tile.y) {
    for (var r = 0u; r < 4u; r++) {
      if (own[r]) {
        for (var d = 0u; d < params.width / 4u; d++) {
          dk[out[r] + d] = vec4<f32>();
          dv[out[r] + d] = vec4<f32>();
        }
      }
    }
  }
}
