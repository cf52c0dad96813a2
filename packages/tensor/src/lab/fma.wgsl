// The arithmetic peak: chains of multiply-adds that wait for nothing but themselves, in registers.
// Eight chains an invocation hide the latency of one; V is the type they have (scalar, or a vector where the hardware packs f16).
struct Params { rounds: u32, factor: f32, addend: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = V(T(params.factor));
  let b = V(T(params.addend));
  var v0 = V(T(id.x & 7u));
  var v1 = v0 + b;
  var v2 = v1 + b;
  var v3 = v2 + b;
  var v4 = v3 + b;
  var v5 = v4 + b;
  var v6 = v5 + b;
  var v7 = v6 + b;
  for (var i = 0u; i < params.rounds; i++) {
    v0 = fma(v0, a, b); v1 = fma(v1, a, b); v2 = fma(v2, a, b); v3 = fma(v3, a, b);
    v4 = fma(v4, a, b); v5 = fma(v5, a, b); v6 = fma(v6, a, b); v7 = fma(v7, a, b);
    v0 = fma(v0, a, b); v1 = fma(v1, a, b); v2 = fma(v2, a, b); v3 = fma(v3, a, b);
    v4 = fma(v4, a, b); v5 = fma(v5, a, b); v6 = fma(v6, a, b); v7 = fma(v7, a, b);
  }
  let sum = v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7;
  // Never true: it keeps the chains from being dropped without a write that would cost something.
  if (all_equal(sum, T(12345.0))) { y[id.x & 63u] = 1.0; }
}
