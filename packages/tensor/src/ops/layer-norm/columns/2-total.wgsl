// gradients of layer norm's weight and bias, step 2 of 3, second of two dispatches: adds the blocks up in order.
struct Params { length: u32, blocks: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<V>;
@group(0) @binding(2) var<storage, read_write> dweight: array<Weights>;
@group(0) @binding(3) var<storage, read_write> dbias: array<Weights>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let column = (w.x + w.y * n.x) * 64u + l;
  if (column >= params.length) { return; }
  var products = V(0.0);
  var gradients = V(0.0);
  for (var block = 0u; block < params.blocks; block++) {
    products += parts[block * 2u * params.length + column];
    gradients += parts[(block * 2u + 1u) * params.length + column];
  }
  dweight[column] = Weights(products);
  dbias[column] = Weights(gradients);
}
