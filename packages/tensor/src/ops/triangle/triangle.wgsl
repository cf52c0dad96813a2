// y = x on one side of a diagonal of the last two dimensions, 0 on the other. Column - row - diagonal tells the side.
struct Params { count: u32, rows: u32, columns: u32, diagonal: i32, offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<T>;
@group(0) @binding(2) var<storage, read_write> y: array<T>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  let column = i32(i % params.columns);
  let row = i32((i / params.columns) % params.rows);
  let side = column - row - params.diagonal;
  // A branch, not a product: what is cut off may be infinite.
  if (select(side >= 0, side <= 0, LOWER)) { y[i] = x[i + params.offset]; } else { y[i] = T(0); }
}
