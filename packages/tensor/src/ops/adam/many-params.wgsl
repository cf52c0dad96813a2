// What a dispatch of Adam for up to eight tensors gets, and which of them a workgroup works for. Counts and places are of
// what the kernel takes at a time: vec4s, or in step 4 elements.
// The moments of all tensors lie in one buffer: those of tensor t from moments_at[t] on, the second right behind the first.
struct Params {
  scale_at: u32, last: u32, unused: u32, unused2: u32,
  one_minus_beta1: f32, beta2: f32, one_minus_beta2: f32, eps: f32,
  ends: array<vec4<u32>, 2>,             // the first workgroup after those of each tensor
  counts: array<vec4<u32>, 2>,
  moments_at: array<vec4<u32>, 2>,
  corrections_at: array<vec4<u32>, 2>,
  rate: array<vec4<f32>, 2>,
  inverse_root: array<vec4<f32>, 2>,
  decay: array<vec4<f32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;

// A tensor's number, its first workgroup, and what is the same for all of its elements.
struct Part { tensor: u32, begin: u32, count: u32, moments_at: u32, decay: f32 }

fn part_of(group: u32) -> Part {
  var t = 0u;
  var begin = 0u;
  while (t < params.last && group >= params.ends[t / 4u][t % 4u]) {
    begin = params.ends[t / 4u][t % 4u];
    t++;
  }
  return Part(t, begin, params.counts[t / 4u][t % 4u], params.moments_at[t / 4u][t % 4u], params.decay[t / 4u][t % 4u]);
}

// What is the same for all elements of a tensor in this step. COUNTED: as in params.wgsl.
struct Step { scale: f32, size: f32, inverse_root: f32, skip: bool }

fn this_step(t: u32) -> Step {
  let rate = params.rate[t / 4u][t % 4u];
  if (!COUNTED) { return Step(control[params.scale_at], rate, params.inverse_root[t / 4u][t % 4u], false); }
  let at = params.corrections_at[t / 4u][t % 4u];
  return Step(control[0], rate * control[at], control[at + 1u], control[1] != 0.0);
}
