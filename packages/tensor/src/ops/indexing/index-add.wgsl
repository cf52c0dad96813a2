// dx[o, row, c] = sum of dy[o, entry, c] over the entries whose index is `row`, in rising order, so that the result is the
// same every time. LANES invocations an entry: those of the first entry of a row write the row, the others have nothing to do.
// dx was cleared before. `columns` counts groups of Wide (4 elements where the row allows it).
struct Params { outer: u32, rows: u32, entries: u32, columns: u32, dy_offset: u32, index_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Wide>;
@group(0) @binding(2) var<storage, read> indices: array<I>;
@group(0) @binding(3) var<storage, read> next: array<u32>;
@group(0) @binding(4) var<storage, read_write> dx: array<Out>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  let line = i / LANES;
  if (line >= params.outer * params.entries) { return; }
  let o = line / params.entries;
  let first = line % params.entries;
  if (next[params.entries + first] == 0u) { return; }
  let from_at = params.dy_offset + o * params.entries * params.columns;
  let to_at = (o * params.rows + u32(indices[params.index_offset + first])) * params.columns;
  for (var c = i % LANES; c < params.columns; c += LANES) {
    var total = Sum(0.0);
    for (var entry = first + 1u; entry != 0u; entry = next[entry - 1u]) {
      total += Sum(dy[from_at + (entry - 1u) * params.columns + c]);
    }
    dx[to_at + c] = Out(total);
  }
}
