// dx = dy · activation'(x), four elements an invocation; for where no product makes dy.
struct Params { count: u32, kind: u32, x_offset: u32, dy_offset: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<TX>;
@group(0) @binding(2) var<storage, read> dy: array<TDY>;
@group(0) @binding(3) var<storage, read_write> dx: array<TX>;
alias C = f32;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let first = ((group.y * groups.x + group.x) * 64u + local) * 4u;
  let end = min(first + 4u, params.count);
  for (var i = first; i < end; i++) {
    dx[i] = TX(f32(dy[params.dy_offset + i]) * slope(params.kind, f32(x[params.x_offset + i])));
  }
}
