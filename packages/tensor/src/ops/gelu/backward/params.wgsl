// What every program of GELU's backward shares. Lengths and offsets count Elements: one element, or four (vec4<T>).
// C is the type that formulas compute in: f32, or vec4<f32>.
struct Params { count: u32, x_offset: u32, dy_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elements>;
@group(0) @binding(2) var<storage, read> dy: array<Elements>;
@group(0) @binding(3) var<storage, read_write> dx: array<Elements>;
