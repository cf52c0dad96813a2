// Which keys a query may attend to. Specialised by MASK (0 none, 1 bool, 2 added), M (element type of the mask), MASK_PER_QUERY
// (false if one row of the mask serves all queries), CAUSAL and PACKED. Needs `problem.wgsl` and the storage binding `mask`.
// PACKED: the tokens of `sequences` sequences lie one behind the other in one row of the batch, a token attends to those of its own
// sequence only, and `mask` holds cu_seqlens instead of a mask: where each sequence begins, and one past the last's end.
// What is the same for many pairs is kept in loops whose length the compiler does not know: unrolled, they take llvmpipe a minute.

// ---- spans of keys (for a query) or queries (for a key): from x on, up to but without y ----

fn cu_seqlens(n: u32) -> u32 { return u32(mask[params.mask_offset + n * params.mask_key]); }

// First token of the sequence that token n is part of, and one past its last; (0, 0) for the padding behind the last sequence.
fn sequence_of(n: u32) -> vec2<u32> {
  var low = 0u;
  var high = params.sequences;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (cu_seqlens(middle) <= n) { low = middle; } else { high = middle; }
  }
  let span = vec2<u32>(cu_seqlens(low), cu_seqlens(low + 1u));
  return select(vec2<u32>(), span, n >= span.x && n < span.y);
}

// What the queries `first` to `last` of a tile may attend to between them. Begins on a multiple of 8, as dropout wants it.
fn keys_of_tile(first: u32, last: u32) -> vec2<u32> {
  var span = vec2<u32>(0u, params.keys);
  if (PACKED) { span = sequences_of_tile(first, last); }
  if (CAUSAL) { span.y = min(span.y, last + 1u); }
  return span;
}

// What may attend to the keys `first` to `last` of a tile between them.
fn queries_of_tile(first: u32, last: u32) -> vec2<u32> {
  var span = vec2<u32>(0u, params.queries);
  if (PACKED) { span = sequences_of_tile(first, last); }
  if (CAUSAL) { span.x = max(span.x, first & ~7u); }
  return span;
}

fn sequences_of_tile(first: u32, last: u32) -> vec2<u32> {
  let tokens = cu_seqlens(params.sequences);
  if (first >= tokens) { return vec2<u32>(); }
  return vec2<u32>(sequence_of(first).x & ~7u, sequence_of(min(last, tokens - 1u)).y);
}

// What query i alone may attend to, before masks.
fn keys_of(i: u32) -> vec2<u32> {
  var span = vec2<u32>(0u, params.keys);
  if (PACKED) { span = sequence_of(i); }
  if (CAUSAL) { span.y = min(span.y, i + 1u); }
  return span;
}

// What may attend to key j alone, before masks.
fn queries_of(j: u32) -> vec2<u32> {
  var span = vec2<u32>(0u, params.queries);
  if (PACKED) { span = sequence_of(j); }
  if (CAUSAL) { span.x = max(span.x, j); }
  return span;
}

// ---- masks ----

fn mask_at(b: u32, h: u32, i: u32, j: u32) -> u32 {
  return params.mask_offset + b * params.mask_batch + h * params.mask_head + i * params.mask_row + j * params.mask_key;
}

// The scaled score of one pair of `keys_of` after the mask: HIDDEN if it hides the key. NaN stays NaN.
fn masked(score: f32, b: u32, h: u32, i: u32, j: u32) -> f32 {
  if (MASK == 1u && mask[mask_at(b, h, i, j)] == M(0)) { return HIDDEN; }
  if (MASK == 2u) { return max(score + f32(mask[mask_at(b, h, i, j)]), HIDDEN); }
  return score;
}

// Bit c: whether n + c lies in the span, for 16 numbers.
fn inside_16(n: u32, span: vec2<u32>) -> u32 {
  let bits = min(max(span, vec2<u32>(n)) - n, vec2<u32>(16u));
  return ((1u << bits.y) - 1u) & ~((1u << bits.x) - 1u);
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

// Bit c: whether query i, whose keys are `span`, may attend to key j + c, for 16 keys. Of the mask only what MASK_PER_QUERY makes
// differ.
fn allowed_16_keys(b: u32, h: u32, i: u32, j: u32, span: vec2<u32>) -> u32 {
  var bits = inside_16(j, span);
  if (MASK == 1u && MASK_PER_QUERY) { bits &= mask_16_keys(b, h, i, j); }
  return bits;
}

// Bit c: whether query i + c may attend to key j, whose queries are `span`, for 16 queries.
fn allowed_16_queries(b: u32, h: u32, i: u32, j: u32, span: vec2<u32>) -> u32 {
  var bits = inside_16(i, span);
  if (MASK == 1u) {
    var at = mask_at(b, h, i, j);
    if (MASK_PER_QUERY) {
      let count = min(params.queries - i, 16u);
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
