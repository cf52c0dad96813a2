// Sum and maximum over the 64 invocations of a workgroup: each subgroup reduces in registers, its first lane leaves the
// result at its own index in workgroup memory, and every subgroup reduces those 64 places again. No size of a subgroup
// is assumed: places that no first lane wrote hold what changes nothing.
var<workgroup> shared_values: array<f32, 64>;

struct Lane { local: u32, index: u32, size: u32 }

fn workgroup_sum(value: f32, lane: Lane) -> f32 {
  let part = subgroupAdd(value);
  workgroupBarrier();
  shared_values[lane.local] = select(0.0, part, subgroupElect());
  workgroupBarrier();
  var rest = 0.0;
  for (var i = lane.index; i < 64u; i += lane.size) { rest += shared_values[i]; }
  return subgroupAdd(rest);
}

fn workgroup_max(value: f32, lane: Lane) -> f32 {
  let part = subgroupMax(value);
  workgroupBarrier();
  shared_values[lane.local] = select(LOWEST, part, subgroupElect());
  workgroupBarrier();
  var rest = LOWEST;
  for (var i = lane.index; i < 64u; i += lane.size) { rest = max(rest, shared_values[i]); }
  return subgroupMax(rest);
}
