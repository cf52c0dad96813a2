// For the steps that hand round by subgroup broadcast what eight lanes have loaded. Whatever the size of the subgroup, lanes
// 0 to 7 exist (size 8 or more), and lane n loads what lane n % 8 loads.
fn lanes_0_to_3(x: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
}
fn lanes_4_to_7(x: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u));
}
fn scalars_0_to_3(x: f32) -> vec4<f32> {
  return vec4<f32>(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
}
fn scalars_4_to_7(x: f32) -> vec4<f32> {
  return vec4<f32>(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u));
}

// sum + (x · y[0], x · y[1], x · y[2], x · y[3]): one row against four. Component by component, here and below: with vec4
// operations the compiler of llvmpipe makes slower code.
fn add_dots(sum: vec4<f32>, x: vec4<f32>, y: mat4x4<f32>) -> vec4<f32> {
  var s = sum;
  for (var c = 0u; c < 4u; c++) {
    s.x = fma(x[c], y[0][c], s.x);
    s.y = fma(x[c], y[1][c], s.y);
    s.z = fma(x[c], y[2][c], s.z);
    s.w = fma(x[c], y[3][c], s.w);
  }
  return s;
}

// sum + w[0] y[0] + w[1] y[1] + w[2] y[2] + w[3] y[3]: four rows with their weights.
fn add_rows(sum: vec4<f32>, w: vec4<f32>, y: mat4x4<f32>) -> vec4<f32> {
  var s = sum;
  for (var c = 0u; c < 4u; c++) {
    s.x = fma(w[c], y[c].x, s.x);
    s.y = fma(w[c], y[c].y, s.y);
    s.z = fma(w[c], y[c].z, s.z);
    s.w = fma(w[c], y[c].w, s.w);
  }
  return s;
}
