// matmul, step 2: tiles in workgroup memory.
// Adds to step 1: a workgroup loads a tile of 16 x 16 of a and of b together and every element of it serves 16
// invocations, so storage is read a sixteenth as often.
// Needs: 2 KiB workgroup memory, two barriers a tile; any sizes and strides. Workgroup 16 x 16.
// llvmpipe, 1024 x 768 x 768, f32: 0.5 GFLOP per CPU-second: less than step 1. There a load from workgroup memory costs as
// much as one from storage, and a barrier switches between 32 subgroups. On a GPU this step is the large one.

const TILE: u32 = 16u;
const GROUP_ROWS: u32 = 16u;
const GROUP_COLUMNS: u32 = 16u;

var<workgroup> a_tile: array<array<f32, TILE>, TILE>;
var<workgroup> b_tile: array<array<f32, TILE>, TILE>;

@compute @workgroup_size(TILE, TILE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group.y * TILE + local.y;
  let column = group.x * TILE + local.x;
  let batch = params.first_batch + group.z;
  let start = batch_starts(batch);
  var sum = bias_at(column);
  // Invocations outside the matrix stay: every one of them must reach the barriers. They bring zeros.
  for (var k = 0u; k < params.k; k += TILE) {
    var x = 0.0;
    var z = 0.0;
    if (row < params.m && k + local.x < params.k) { x = f32(a[start.x + row * params.a_row + (k + local.x) * params.a_k]); }
    if (column < params.n && k + local.y < params.k) { z = f32(b[start.y + (k + local.y) * params.b_k + column * params.b_column]); }
    a_tile[local.y][local.x] = x;
    b_tile[local.y][local.x] = z;
    workgroupBarrier();
    for (var i = 0u; i < TILE; i++) { sum = fma(a_tile[local.y][i], b_tile[i][local.x], sum); }
    workgroupBarrier();
  }
  if (row < params.m && column < params.n) { store(batch, row, column, sum); }
}
