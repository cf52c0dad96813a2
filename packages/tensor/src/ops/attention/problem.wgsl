// What every attention kernel shares: the sizes, and where the rows of each tensor begin.
// Letters: B batch, H heads, L queries, S keys, D width of a head; b, h, i (query), j (key), d index them.
// T is the element type of q, k, v, y and g; everything is computed, and the gradients are written, in f32.
struct Params {
  heads: u32, queries: u32, keys: u32, width: u32,
  q_offset: u32, q_batch: u32, q_head: u32, q_row: u32,
  k_offset: u32, k_batch: u32, k_head: u32, k_row: u32,
  v_offset: u32, v_batch: u32, v_head: u32, v_row: u32,
  g_offset: u32, g_batch: u32, g_head: u32, g_row: u32,
  mask_offset: u32, mask_batch: u32, mask_head: u32, mask_row: u32,
  mask_key: u32, scale: f32, drop_below: u32, keep_scale: f32,
  seed: vec2<u32>, offset: vec2<u32>,
  out_batch: u32, out_head: u32, out_row: u32,
  sequences: u32,
  out2_batch: u32, out2_head: u32, out2_row: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

// A score of HIDDEN or less does not count: the key is masked. A query whose keys are all hidden has logsumexp NOWHERE.
const HIDDEN = -3.0e38;
const NOWHERE = 3.0e38;

// Where a row of q, k, v, or of the output's gradient g begins.
fn q_at(b: u32, h: u32, i: u32) -> u32 { return params.q_offset + b * params.q_batch + h * params.q_head + i * params.q_row; }
fn k_at(b: u32, h: u32, j: u32) -> u32 { return params.k_offset + b * params.k_batch + h * params.k_head + j * params.k_row; }
fn v_at(b: u32, h: u32, j: u32) -> u32 { return params.v_offset + b * params.v_batch + h * params.v_head + j * params.v_row; }
fn g_at(b: u32, h: u32, i: u32) -> u32 { return params.g_offset + b * params.g_batch + h * params.g_head + i * params.g_row; }

// Where a row of what the kernel writes begins (`dk` and `dv` lie alike; `delta` reads the output there). A kernel that writes dq, dk
// and dv has dq in these places, dk and dv in `out2`.
fn out_at(b: u32, h: u32, n: u32) -> u32 { return b * params.out_batch + h * params.out_head + n * params.out_row; }

// Where the statistics of a query are: [B, H, L].
fn statistic(b: u32, h: u32, i: u32) -> u32 { return (b * params.heads + h) * params.queries + i; }
