// Step 2 of 2 of the chains of equal indices (see chains.ts): every entry walks the list of its row once and finds the
// smallest entry after itself, and whether one comes before. Entries count from 1 here, 0 ends a chain. `next` holds the
// following entry of each entry, then 1 for each entry that leads its chain.
struct Params { count: u32, rows: u32, offset: u32, skipped: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<I>;
@group(0) @binding(2) var<storage, read> heads: array<u32>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read_write> next: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.count) { return; }
  let row = u32(indices[i + params.offset]);
  let mine = i + 1u;
  var successor = 0u;
  var leads = false;
  if (row < params.rows && row != params.skipped) {
    leads = true;
    for (var other = heads[row]; other != 0u; other = links[other - 1u]) {
      if (other < mine) { leads = false; }
      if (other > mine && (successor == 0u || other < successor)) { successor = other; }
    }
  }
  next[i] = successor;
  next[params.count + i] = u32(leads);
}
