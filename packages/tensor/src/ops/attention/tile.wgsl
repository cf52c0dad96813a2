// For the steps with tiles in workgroup memory: 64 invocations, 8 x 8, make a tile of 32 rows x 32 columns, 4 x 4 numbers each.
// `left` holds rows and `right` columns of what is multiplied, DEPTH values deep; both are laid out [depth][row].
const TILE: u32 = 32u;
const DEPTH: u32 = 16u;
const INVOCATIONS: u32 = 64u;
var<workgroup> left: array<f32, TILE * DEPTH>;
var<workgroup> right: array<f32, TILE * DEPTH>;

// sums[r] holds row 4 y + r and columns 4 x to 4 x + 3 of the tile: adds the product of `left` and `right`, `depth` deep.
fn add_product(sums: ptr<function, array<vec4<f32>, 4>>, x: u32, y: u32, depth: u32) {
  for (var n = 0u; n < depth; n++) {
    let at = n * TILE + 4u * x;
    let columns = vec4<f32>(right[at], right[at + 1u], right[at + 2u], right[at + 3u]);
    for (var r = 0u; r < 4u; r++) { (*sums)[r] = fma(vec4<f32>(left[n * TILE + 4u * y + r]), columns, (*sums)[r]); }
  }
}
