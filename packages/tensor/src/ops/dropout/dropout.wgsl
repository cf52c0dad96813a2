// y = x / (1 - p) where a uniform number is at least p, else 0; also its own backward, with dy in the place of x.
// An invocation takes four elements at a time and makes their four numbers with one Philox block. The mask is never stored: the same
// seed and offset give it again. Bound by: memory (one read, one write) on a GPU; the 100 integer multiplications of a
// Philox block are hidden behind it.
struct Params { seed: vec2<u32>, offset: vec2<u32>, groups: u32, rounds: u32, start: u32, p: f32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<T>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<T>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let first = (w.x + w.y * n.x) * 256u * params.rounds;
  let end = min(first + 256u * params.rounds, params.groups);
  for (var i = first + l; i < end; i += 256u) {
    let keep = uniform4(random4(params.seed, params.offset, i)) >= vec4<f32>(params.p);
    let scaled = vec4<f32>(x[params.start + i]) * params.scale;
    y[i] = vec4<T>(select(vec4<f32>(0.0), scaled, keep));
  }
}
