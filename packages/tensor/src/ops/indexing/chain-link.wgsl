// Step 1 of 2 of the chains of equal indices (see chains.ts): puts every entry on the list of its row.
// The order within a list depends on the schedule; step 2 makes it definite.
struct Params { count: u32, rows: u32, offset: u32, skipped: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<I>;
@group(0) @binding(2) var<storage, read_write> heads: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> links: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  // A negative index becomes a large one: out of range as well.
  let row = u32(indices[i + params.offset]);
  if (row >= params.rows || row == params.skipped) { return; }
  links[i] = atomicExchange(&heads[row], i + 1u);
}
