// embedding gradient, step 1 of 4: a workgroup takes a row of the table and looks through all indices for it.
// Writes every row, the zeros too. Needs: nothing.
// Measured, CPU time: 1024x30522x384 f32 takes 3754 ms on llvmpipe (0.01 GB/s; a copy of as many bytes 10.4 ms).
const GROUP_ROWS: u32 = 1u;  // rows of the table a workgroup works on

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let row = w.x + w.y * n.x;
  if (row >= params.rows) { return; }
  for (var c = l; c < params.columns; c += 64u) {
    var total = Sum(0.0);
    for (var e = 0u; e < params.entries; e++) {
      if (u32(indices[params.index_offset + e]) == row && row != params.skipped) {
        total += Sum(dy[params.dy_offset + e * params.columns + c]);
      }
    }
    dweight[row * params.columns + c] = Out(total);
  }
}
