// What the programs of one dispatch share: sums down the columns of what was normalised (x) and of the gradient (dy).
//   dweight[column] = sum over rows of dy n,  dbias[column] = sum over rows of dy,  n = (x - mean) rstd
struct Params { rows: u32, length: u32, x_offset: u32, dy_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elements>;
@group(0) @binding(2) var<storage, read> dy: array<Elements>;
@group(0) @binding(3) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> dweight: array<Weights>;
@group(0) @binding(5) var<storage, read_write> dbias: array<Weights>;
