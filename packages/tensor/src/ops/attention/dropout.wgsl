// Dropout of attention weights. What is dropped is a function of seed, offset and place (b, h, i, j) alone, so backward makes
// it again instead of reading it. One Philox block decides on eight neighbouring keys of a query, 16 bits each: drawing numbers
// is dear beside the 2 D multiplications that a weight costs. Needs `problem.wgsl` and `random/philox.wgsl`.

// Bit c: whether key (j - j % 8) + c of query i is kept.
fn keep_8_keys(b: u32, h: u32, i: u32, j: u32) -> u32 {
  let words = random4(params.seed, params.offset, statistic(b, h, i) * ((params.keys + 7u) / 8u) + j / 8u);
  let low = vec4<u32>((words & vec4<u32>(0xffffu)) >= vec4<u32>(params.drop_below)) << vec4<u32>(0u, 2u, 4u, 6u);
  let high = vec4<u32>((words >> vec4<u32>(16u)) >= vec4<u32>(params.drop_below)) << vec4<u32>(1u, 3u, 5u, 7u);
  let all = low | high;
  return all.x | all.y | all.z | all.w;
}

// The same for the sixteen keys from j on, a multiple of 8.
fn keep_16_keys(b: u32, h: u32, i: u32, j: u32) -> u32 {
  return keep_8_keys(b, h, i, j) | (keep_8_keys(b, h, i, j + 8u) << 8u);
}

// What four weights are multiplied with: bits `first` to `first + 3`.
fn kept_4(bits: u32, first: u32) -> vec4<f32> {
  let kept = (vec4<u32>(bits >> first) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>();
  return select(vec4<f32>(), vec4<f32>(params.keep_scale), kept);
}

// What one weight is multiplied with.
fn kept(b: u32, h: u32, i: u32, j: u32) -> f32 {
  return select(0.0, params.keep_scale, ((keep_8_keys(b, h, i, j) >> (j % 8u)) & 1u) == 1u);
}
