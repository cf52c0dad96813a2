// For the steps that hand round by subgroup broadcast the sixteen rows that a group of LANES lanes (4 or 8) has loaded: lane n of
// the group loads rows n, n + LANES, … Whatever the size of the subgroup, its lanes 0 to LANES - 1 are named and no other: a
// subgroup must have LANES lanes or more, and lane n loads what lane n % LANES loads.
const LOADS = 16u / LANES;

fn lanes_0_to_3(x: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u), subgroupBroadcast(x, 3u));
}
fn lanes_4_to_7(x: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u), subgroupBroadcast(x, 7u));
}

// Four of the sixteen rows, out of what each lane has loaded (of 8 lanes only x[0] and x[1] are in use).
fn rows_0_to_3(x: mat4x4<f32>) -> mat4x4<f32> { return lanes_0_to_3(x[0]); }
fn rows_4_to_7(x: mat4x4<f32>) -> mat4x4<f32> {
  if (LANES == 4u) { return lanes_0_to_3(x[1]); }
  return lanes_4_to_7(x[0]);
}
fn rows_8_to_11(x: mat4x4<f32>) -> mat4x4<f32> {
  if (LANES == 4u) { return lanes_0_to_3(x[2]); }
  return lanes_0_to_3(x[1]);
}
fn rows_12_to_15(x: mat4x4<f32>) -> mat4x4<f32> {
  if (LANES == 4u) { return lanes_0_to_3(x[3]); }
  return lanes_4_to_7(x[1]);
}

// The numbers of the rows that this lane loads, from `first` on; behind `last` it loads that one again.
fn rows_of_lane(first: u32, lane: u32, last: u32) -> vec4<u32> {
  return min(vec4<u32>(first + lane) + vec4<u32>(0u, LANES, 2u * LANES, 3u * LANES), vec4<u32>(last));
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
