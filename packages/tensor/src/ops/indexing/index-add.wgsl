// dx[o, row, c] = sum of dy[o, entry, c] over the entries whose index is `row`, in rising order, so that the result is the
// same every time. Every element is written, those of rows without an entry with 0: no separate pass clears dx.
// One workgroup a row; `columns` counts groups of Wide (4 elements where the row allows it).
struct Params { outer: u32, rows: u32, entries: u32, columns: u32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Wide>;
@group(0) @binding(2) var<storage, read> heads: array<u32>;
@group(0) @binding(3) var<storage, read> next: array<u32>;
@group(0) @binding(4) var<storage, read_write> dx: array<Wide>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let line = w.x + w.y * n.x;
  if (line >= params.outer * params.rows) { return; }
  let row = line % params.rows;
  let start = params.offset + (line / params.rows) * params.entries * params.columns;
  let first = heads[params.rows + row];
  for (var c = l; c < params.columns; c += 64u) {
    var total = Sum(0.0);
    for (var entry = first; entry != 0u; entry = next[entry - 1u]) {
      total += Sum(dy[start + (entry - 1u) * params.columns + c]);
    }
    dx[line * params.columns + c] = Wide(total);
  }
}
