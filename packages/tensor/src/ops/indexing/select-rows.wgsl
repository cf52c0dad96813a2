// y[o, e, c] = x[o, indices[e], c]: whole rows, LANES invocations a row. `columns` counts groups of Wide (4 elements where the row
// allows it). A row outside the table becomes NaN: a kernel cannot throw, and a wrong row must not pass for a right one.
struct Params { lines: u32, rows: u32, entries: u32, columns: u32, offset: u32, index_offset: u32, not_a_number: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Wide>;
@group(0) @binding(2) var<storage, read> indices: array<I>;
@group(0) @binding(3) var<storage, read_write> y: array<Out>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  let line = i / LANES;
  if (line >= params.lines) { return; }
  let row = u32(indices[params.index_offset + line % params.entries]);
  let from_at = params.offset + ((line / params.entries) * params.rows + row) * params.columns;
  let to_at = line * params.columns;
  for (var c = i % LANES; c < params.columns; c += LANES) {
    if (row < params.rows) { y[to_at + c] = Out(x[from_at + c]); } else { y[to_at + c] = Out(O(params.not_a_number)); }
  }
}
