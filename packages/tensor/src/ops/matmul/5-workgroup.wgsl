// matmul, step 5: tiles in workgroup memory and in registers: the classic kernel of GPUs.
// Joins steps 2 and 3. A workgroup makes SIDE x SIDE elements of y, an invocation 8 x 8 of them. In each round of DEPTH k every
// invocation loads one block of 4 x 4, half of them of a and half of b, into workgroup memory; from there 4 vec4s serve 64 fma.
// The blocks of the next round are loaded before the arithmetic of this one, which hides their latency. DEPTH is SIDE / 8, so
// that there are as many blocks as invocations.
// Needs: 256 invocations and 16 KiB workgroup memory for SIDE 128; 64 and 4 KiB for SIDE 64, for products too small to fill a
// GPU with the large ones. Any sizes: the loop over k knows no bounds but that of k itself, and that once a round.
// llvmpipe, 512 x 512 x 512, f32: 4.2 GFLOP per CPU-second, less than step 3 (6.5): a barrier there suspends the invocations one
// after the other, and workgroup memory is no nearer than any other. It is here for GPUs.

const DEPTH: u32 = SIDE / 8u;
const LINE: u32 = SIDE / 4u;          // vec4s in a row of a tile
const BLOCKS: u32 = LINE * DEPTH / 4u; // blocks of 4 x 4 in a tile
const WIDTH: u32 = SIDE / 8u;

// [k][row / 4] and [k][column / 4].
var<workgroup> a_tile: array<vec4<f32>, DEPTH * LINE>;
var<workgroup> b_tile: array<vec4<f32>, DEPTH * LINE>;

@compute @workgroup_size(WIDTH * WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let batch = params.first_batch + group.z;
  let start = batch_starts(batch);
  // Which block this invocation brings. Neighbours bring what lies side by side in memory.
  let of_a = index < BLOCKS;
  let block = index % BLOCKS;
  let along_k = select(B_TRANSPOSED, !A_TRANSPOSED, of_a);
  let line = select(block % LINE, block / (DEPTH / 4u), along_k);
  let depth = 4u * select(block / LINE, block % (DEPTH / 4u), along_k);
  let rows = a_rows(start.x, group.y * SIDE + 4u * line);
  let columns = b_columns(start.y, group.x * SIDE + 4u * line);
  // Which elements it makes: two quarters of 4 rows, half a tile apart, by two of 4 columns.
  let x_at = index / WIDTH;
  let y_at = index % WIDTH;

  var sums: array<vec4<f32>, 16>;
  if (SECOND) {
    let own = vec2<u32>(group.y, group.x) * SIDE + 4u * vec2<u32>(x_at, y_at);
    add_second(&sums, vec2<u32>(own.x, own.x + SIDE / 2u), vec2<u32>(own.y, own.y + SIDE / 2u));
  }
  let end = params.k;
  let steps = min(DEPTH, end);
  var brought = mat4x4<f32>();
  if (depth < end) {
    if (of_a) { brought = transpose(a_block(rows, depth)); } else { brought = b_block(columns, depth); }
  }
  for (var k = 0u; k < end; k += DEPTH) {
    for (var i = 0u; i < 4u; i++) {
      let at = (depth + i) * LINE + line;
      if (of_a) { a_tile[at] = brought[i]; } else { b_tile[at] = brought[i]; }
    }
    workgroupBarrier();
    let next = k + DEPTH + depth;
    brought = mat4x4<f32>();
    if (next < end) {
      if (of_a) { brought = transpose(a_block(rows, next)); } else { brought = b_block(columns, next); }
    }
    for (var d = 0u; d < steps; d++) {
      let x_0 = a_tile[d * LINE + x_at];
      let x_1 = a_tile[d * LINE + WIDTH + x_at];
      let y_0 = b_tile[d * LINE + y_at];
      let y_1 = b_tile[d * LINE + WIDTH + y_at];
      for (var i = 0u; i < 4u; i++) {
        sums[i] = fma(vec4<f32>(x_0[i]), y_0, sums[i]);
        sums[4u + i] = fma(vec4<f32>(x_1[i]), y_0, sums[4u + i]);
        sums[8u + i] = fma(vec4<f32>(x_0[i]), y_1, sums[8u + i]);
        sums[12u + i] = fma(vec4<f32>(x_1[i]), y_1, sums[12u + i]);
      }
    }
    workgroupBarrier();
  }
  // As in step 3: compiled once, not 16 times.
  let quarters = 16u * min(params.m, 1u);
  for (var i = 0u; i < quarters; i++) {
    var sum = sums[0];
    for (var j = 1u; j < 16u; j++) { sum = select(sum, sums[j], i == j); }
    let row = group.y * SIDE + 4u * x_at + i % 4u + (i / 4u % 2u) * (SIDE / 2u);
    let column = group.x * SIDE + 4u * y_at + (i / 8u) * (SIDE / 2u);
    store_row(batch, row, column, sum + bias_block(column));
  }
}
