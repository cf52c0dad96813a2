// embedding gradient, step 3 of 4: finds the chains of equal indices by looking through all of them, an entry an invocation.
// Adds to step 2: no table of lists to clear, no atomics, one dispatch in place of two. The work is the square of the entries, so that
// it is for thousands of them, not for hundreds of thousands. Rows of the table are added up along the chains as in step 2.
// Needs: nothing.
// Measured, CPU time: 1024x30522x384 f32 takes 6.02 ms on llvmpipe (8.04 GB/s; a copy of as many bytes 10.4 ms), 20.8 ms on SwiftShader (36.9 ms).
// Entries count from 1 in `next`: the following entry of the same row (0 = none), then 1 for each entry that is the first of its row.
struct Params { count: u32, rows: u32, offset: u32, skipped: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<I>;
@group(0) @binding(2) var<storage, read_write> next: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  let row = indices[params.offset + i];
  let counts = u32(row) < params.rows && u32(row) != params.skipped;
  var e = 0u;
  while (counts && e < i && indices[params.offset + e] != row) { e++; }
  let leads = counts && e == i;
  var successor = i + 1u;
  while (counts && successor < params.count && indices[params.offset + successor] != row) { successor++; }
  next[i] = select(0u, successor + 1u, counts && successor < params.count);
  next[params.count + i] = u32(leads);
}
