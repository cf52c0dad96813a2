// matmul, step 1: one element of y an invocation.
// Every invocation walks along one row of a and one column of b and reads both from storage: 2 loads a multiplication.
// Needs: nothing; any sizes and strides. Workgroup 16 x 16, no workgroup memory.
// llvmpipe, 1024 x 768 x 768, f32: 1.3 GFLOP per CPU-second. Bound by loads.

const GROUP_ROWS: u32 = 16u;
const GROUP_COLUMNS: u32 = 16u;

@compute @workgroup_size(GROUP_COLUMNS, GROUP_ROWS)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y;
  let column = id.x;
  let batch = params.first_batch + id.z;
  if (row >= params.m || column >= params.n) { return; }
  let start = batch_starts(batch);
  var sum = bias_at(column);
  var p = start.x + row * params.a_row;
  var q = start.y + column * params.b_column;
  for (var k = 0u; k < params.k; k++) {
    sum += f32(a[p]) * f32(b[q]);
    p += params.a_k;
    q += params.b_k;
  }
  store(batch, row, column, sum);
}
