// matmul, step 7: long sums in parts.
// Where y has few elements and k is long (the gradient of a small weight over many tokens), tiles of y alone leave most of a GPU
// idle. So k is cut into parts and each part is a product of its own: together a batched product by one of the other steps, its
// results in f32. This kernel then adds the parts, always in the same order, so that the same input gives the same bits: no
// atomics. Two dispatches.
// Needs: nothing; k must divide into parts of 256 or more.
// llvmpipe, 64 x 8192 x 64, f32: 16 GFLOP per CPU-second against 18 in one piece: with two processors nothing was idle before.

@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read> unused: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<TBIAS>;
@group(0) @binding(4) var<storage, read_write> y: array<TY>;
alias C = f32;
alias Y = TY;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = (group.y * groups.x + group.x) * 64u + local;
  let count = params.m * params.n;
  if (at >= count) { return; }
  var sum = 0.0;
  for (var part = 0u; part < params.k; part++) { sum += parts[part * count + at]; }
  let column = at % params.n;
  if (params.has_bias != 0u) { sum += f32(bias[params.bias_offset + column]); }
  y[at] = TY(finished(at, column, sum));
}

// For `epilogue.wgsl`.
fn extra_at(at: u32, column: u32) -> f32 { return f32(extra[params.extra_offset + at]); }
fn keep_before(at: u32, column: u32, sum: f32) { write_before(at, TY(sum)); }
