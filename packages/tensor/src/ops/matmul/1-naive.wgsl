// matmul, step 1 of 4: one element of y an invocation.
// Every invocation walks along one row of a and one column of b and reads both from storage: 2 loads a multiplication.
// Needs: nothing; any sizes and strides. Workgroup 16 x 16, no workgroup memory.
// llvmpipe, 1024 x 768 x 768, f32: 1.3 GFLOP per CPU-second. Bound by loads.

@group(0) @binding(1) var<storage, read> a: array<T>;
@group(0) @binding(2) var<storage, read> b: array<T>;
@group(0) @binding(3) var<storage, read> bias: array<T>;
@group(0) @binding(4) var<storage, read_write> y: array<T>;

@compute @workgroup_size(16, 16)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y;
  let column = id.x;
  let batch = params.first_batch + id.z;
  if (row >= params.m || column >= params.n) { return; }
  let start = batch_starts(batch);
  var sum = 0.0;
  if (params.has_bias != 0u) { sum = f32(bias[params.bias_offset + column]); }
  var p = start.x + row * params.a_row;
  var q = start.y + column * params.b_column;
  for (var k = 0u; k < params.k; k++) {
    sum += f32(a[p]) * f32(b[q]);
    p += params.a_k;
    q += params.b_k;
  }
  y[(batch * params.m + row) * params.n + column] = T(sum);
}
