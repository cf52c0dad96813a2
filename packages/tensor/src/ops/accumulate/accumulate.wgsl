// total += x, element by element: a gradient is added to what came before it, where that lies.
// Reads 8 bytes and writes 4 an element in f32; a copy of both into new memory would hold a third buffer for as long.
struct Params { count: u32, x_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> total: array<T>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let i = (group.x + group.y * groups.x) * 64u + local;
  if (i >= params.count) { return; }
  total[i] += T(x[params.x_offset + i]);
}
