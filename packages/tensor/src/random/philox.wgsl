// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (2011).
// A block of four random words is a pure function of a counter and a key: no state, so any invocation makes its own numbers
// and backward makes the same ones again instead of storing them.
//
// To use it in a kernel, put this file into the kernel's `snippets` and the four words of `generator.next(blocks)` into its
// parameters, as `seed: vec2<u32>, offset: vec2<u32>`. Then
//   let u = uniform4(random4(params.seed, params.offset, i));   // four numbers in [0, 1) of block i < blocks
// `random/philox.ts` is the same in TypeScript; words and uniforms agree bit for bit.

// High word of the 64-bit product, which WGSL has no operation for: by 16-bit halves, none of the sums can overflow.
fn mul_hi(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let cross = a1 * b0 + ((a0 * b0) >> 16u);
  let middle = a0 * b1 + (cross & 0xffffu);
  return a1 * b1 + (cross >> 16u) + (middle >> 16u);
}

fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var round = 0u; round < 10u; round++) {
    c = vec4<u32>(
      mul_hi(0xCD9E8D57u, c.z) ^ c.y ^ k.x,
      0xCD9E8D57u * c.z,
      mul_hi(0xD2511F53u, c.x) ^ c.w ^ k.y,
      0xD2511F53u * c.x,
    );
    k += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}

// Block `index` of a reserved range: the counter is the 64-bit sum offset + index (low word, high word), the key is the seed.
fn random4(seed: vec2<u32>, offset: vec2<u32>, index: u32) -> vec4<u32> {
  let low = offset.x + index;
  let carry = select(0u, 1u, low < index);
  return philox4x32(vec4<u32>(low, offset.y + carry, 0u, 0u), seed);
}

// Numbers k / 2^24 in [0, 1): the upper 24 bits of each word, which f32 holds exactly.
fn uniform4(bits: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(bits >> vec4<u32>(8u)) * (1.0 / 16777216.0);
}
