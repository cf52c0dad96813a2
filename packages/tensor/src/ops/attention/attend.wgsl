// Which keys a query may attend. Specialised by MASK (0 none, 1 bool, 2 added), M (element type of the mask), MASK_PER_QUERY
// (false if one row of the mask serves all queries) and CAUSAL. Needs `problem.wgsl` and the storage binding `mask`.
// What is the same for many pairs is kept in loops whose length the compiler does not know: unrolled, they take llvmpipe a minute.

fn mask_at(b: u32, h: u32, i: u32, j: u32) -> u32 {
  return params.mask_offset + b * params.mask_batch + h * params.mask_head + i * params.mask_row + j * params.mask_key;
}

// The scaled score of one pair after masks: HIDDEN if query i may not attend to key j. NaN stays NaN.
fn masked(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  var hidden = (j >= params.keys) | (i >= params.queries);
  if (CAUSAL) { hidden = hidden | (j > i); }
  var s = score;
  if (MASK == 1u) { hidden = hidden | (mask[mask_at(b, h, i, j)] == M(0)); }
  if (MASK == 2u) { s = max(s + f32(mask[mask_at(b, h, i, j)]), HIDDEN); }
  return select(s, HIDDEN, hidden);
}

// Bit c: whether query i may attend to key j + c, for 16 keys. Of the mask only what MASK_PER_QUERY makes differ.
fn allowed_16_keys(b: u32, h: u32, i: u32, j: u32) -> u32 {
  let count = min(params.keys - j, 16u);
  var bits = (1u << count) - 1u;
  if (CAUSAL) { bits &= select(0u, (2u << min(i - j, 15u)) - 1u, i >= j); }
  if (MASK == 1u && MASK_PER_QUERY) { bits &= mask_16_keys(b, h, i, j); }
  return bits;
}

// Bit c: whether the bool mask lets query i attend to key j + c.
fn mask_16_keys(b: u32, h: u32, i: u32, j: u32) -> u32 {
  let count = min(params.keys - j, 16u);
  var at = mask_at(b, h, i, j);
  var bits = 0u;
  for (var c = 0u; c < count; c++) {
    bits |= select(0u, 1u << c, mask[at] != M(0));
    at += params.mask_key;
  }
  return bits;
}

// Bit c: whether query i + c may attend to key j, for 16 queries.
fn allowed_16_queries(b: u32, h: u32, i: u32, j: u32) -> u32 {
  let count = min(params.queries - i, 16u);
  var bits = (1u << count) - 1u;
  if (CAUSAL && j > i) { bits &= ~((1u << min(j - i, 16u)) - 1u); }
  if (MASK == 1u) {
    var at = mask_at(b, h, i, j);
    if (MASK_PER_QUERY) {
      var on = 0u;
      for (var c = 0u; c < count; c++) {
        on |= select(0u, 1u << c, mask[at] != M(0));
        at += params.mask_row;
      }
      bits &= on;
    } else {
      bits = select(0u, bits, mask[at] != M(0));
    }
  }
  return bits;
}

// Four scores, HIDDEN where bits `first` to `first + 3` are 0.
fn hide_4(scores: vec4<f32>, bits: u32, first: u32) -> vec4<f32> {
  return select(vec4<f32>(HIDDEN), scores, (vec4<u32>(bits >> first) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>());
}

// What an added mask adds to four scores, `step` apart in the mask. Never below HIDDEN, so that -Infinity - -Infinity cannot come up.
fn added_4(at: u32, step: u32) -> vec4<f32> {
  let m = vec4<f32>(f32(mask[at]), f32(mask[at + step]), f32(mask[at + 2u * step]), f32(mask[at + 3u * step]));
  return max(m, vec4<f32>(HIDDEN));
}
