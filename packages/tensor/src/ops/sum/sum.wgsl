// Sum over some dimensions of a strided view: one invocation an output, which walks over its own elements.
// Neighbouring invocations read neighbouring columns when a leading dimension is summed. Long sums into few outputs are cut
// into `chunks` parts, which a second dispatch adds up; that also keeps rounding small.
struct Params {
  outputs: u32, length: u32, chunks: u32, chunk_length: u32,
  outer_rank: u32, inner_rank: u32, offset: i32, scale: f32,
  outer_shape: array<vec4<u32>, 2>, outer_strides: array<vec4<i32>, 2>,
  inner_shape: array<vec4<u32>, 2>, inner_strides: array<vec4<i32>, 2>,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<X>;
@group(0) @binding(2) var<storage, read_write> y: array<Y>;

fn inner_offset(index: u32) -> i32 {
  var rest = index;
  var at = 0;
  for (var d = params.inner_rank; d > 0u; d--) {
    let size = params.inner_shape[(d - 1u) / 4u][(d - 1u) % 4u];
    at += i32(rest % size) * params.inner_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    rest /= size;
  }
  return at;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.x + w.y * n.x) * 64u + l;
  if (i >= params.outputs * params.chunks) { return; }
  let output = i % params.outputs;
  let chunk = i / params.outputs;
  var rest = output;
  var base = params.offset;
  for (var d = params.outer_rank; d > 0u; d--) {
    let size = params.outer_shape[(d - 1u) / 4u][(d - 1u) % 4u];
    base += i32(rest % size) * params.outer_strides[(d - 1u) / 4u][(d - 1u) % 4u];
    rest /= size;
  }
  let begin = chunk * params.chunk_length;
  let end = min(begin + params.chunk_length, params.length);
  var total = Accumulator(0);
  if (params.inner_rank == 1u) {
    // Four sums side by side: a quarter of the additions in a row, and of the rounding that they bring.
    let step = params.inner_strides[0][0];
    var at = base + i32(begin) * step;
    var k = begin;
    var four = vec4<Accumulator>();
    for (; k + 4u <= end; k += 4u) {
      four += vec4<Accumulator>(vec4<X>(x[at], x[at + step], x[at + 2 * step], x[at + 3 * step]));
      at += 4 * step;
    }
    for (; k < end; k++) {
      total += Accumulator(x[at]);
      at += step;
    }
    total += (four.x + four.y) + (four.z + four.w);
  } else {
    for (var k = begin; k < end; k++) { total += Accumulator(x[base + inner_offset(k)]); }
  }
  y[i] = Y(scaled(total));
}
