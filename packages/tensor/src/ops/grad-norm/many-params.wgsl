// What a dispatch for up to 15 tensors gets, and which of them a workgroup works for.
struct Params {
  last: u32,
  length: u32,       // elements that an invocation adds up, or vec4s that it scales
  at: u32,           // place of the first sum in `partial`, or of the factor in `control`
  unused: u32,
  ends: array<vec4<u32>, 4>,     // the first workgroup after those of each tensor
  counts: array<vec4<u32>, 4>,   // elements
}
@group(0) @binding(0) var<uniform> params: Params;

struct Part { tensor: u32, begin: u32, count: u32 }

fn part_of(group: u32) -> Part {
  var t = 0u;
  var begin = 0u;
  while (t < params.last && group >= params.ends[t / 4u][t % 4u]) {
    begin = params.ends[t / 4u][t % 4u];
    t++;
  }
  return Part(t, begin, params.counts[t / 4u][t % 4u]);
}
