// Sum and maximum over the 64 invocations of a workgroup: a tree in workgroup memory, log2(64) = 6 levels.
// Every invocation gets the result. The barrier before the first write keeps a second call from overtaking the first.
var<workgroup> shared_values: array<f32, 64>;

fn workgroup_sum(value: f32, l: u32) -> f32 {
  workgroupBarrier();
  shared_values[l] = value;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (l < half) { shared_values[l] += shared_values[l + half]; }
  }
  workgroupBarrier();
  return shared_values[0];
}

fn workgroup_max(value: f32, l: u32) -> f32 {
  workgroupBarrier();
  shared_values[l] = value;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (l < half) { shared_values[l] = max(shared_values[l], shared_values[l + half]); }
  }
  workgroupBarrier();
  return shared_values[0];
}
