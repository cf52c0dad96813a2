// The largest (or smallest) element of each line along a dimension, and where it is: one invocation a part of a line, which
// walks from the front, so that the first of equal elements wins. NaN wins over every number, as in PyTorch.
// Head: `better(a, b)`, `is_nan(v)`, and `place(at, k)`, the index of the element that stands at `at` (k-th of its line).
struct Params { lines: u32, length: u32, inner: u32, parts: u32, part_length: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> values: array<T>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.lines * params.parts) { return; }
  let line = i % params.lines;
  let start = (line / params.inner) * params.length * params.inner + line % params.inner;
  let begin = (i / params.lines) * params.part_length;
  let end = min(begin + params.part_length, params.length);
  var at = start + begin * params.inner;
  var best = x[params.offset + at];
  var index = place(at, begin);
  for (var k = begin + 1u; k < end; k++) {
    at += params.inner;
    let value = x[params.offset + at];
    if (!is_nan(best) && (better(value, best) || is_nan(value))) {
      best = value;
      index = place(at, k);
    }
  }
  values[i] = best;
  indices[i] = index;
}
