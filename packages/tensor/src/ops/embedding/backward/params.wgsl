// What the programs of one dispatch share. dweight[row] = sum of dy[e] over the entries e whose index is `row`, in rising order of e;
// the row `skipped` gets zeros. `columns` counts groups of Wide (4 elements where rows and offsets allow it); Sum is Wide in f32, and
// Out is what a group of dweight is stored as.
struct Params { rows: u32, entries: u32, columns: u32, dy_offset: u32, index_offset: u32, skipped: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Wide>;
@group(0) @binding(2) var<storage, read> indices: array<I>;
@group(0) @binding(3) var<storage, read_write> dweight: array<Out>;
