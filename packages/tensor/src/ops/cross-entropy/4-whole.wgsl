// cross entropy, step 4 of 4: one workgroup takes all rows, an invocation one after the other, and adds up their losses.
// Adds to step 1: the mean (MEAN) or sum in the same dispatch, in place of one of its own, for batches that are small enough.
// Needs: 512 bytes of workgroup memory.
// Measured, CPU time: 1024x1000 f32 takes 3.81 ms on llvmpipe (1.08 GB/s; a copy of as many bytes 1.1 ms), 18.1 ms on SwiftShader (3.68 ms).
// scale[0] = what backward multiplies with: 1, or 1 / (sum of what the rows count). The order of addition is fixed.
@group(0) @binding(5) var<storage, read_write> result: array<f32>;
@group(0) @binding(6) var<storage, read_write> scale: array<f32>;

var<workgroup> parts: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) l: u32) {
  var part = vec2(0.0);
  for (var row = l; row < params.rows; row += 64u) {
    let label = label_of(row);
    var maximum = 0.0;
    var logarithm = 0.0;
    if (!NLL) {
      maximum = LOWEST;
      var sum = 0.0;
      for (var c = 0u; c < params.classes; c++) {
        let value = logit(row, c);
        let larger = max(maximum, value);
        sum = sum * exp(maximum - larger) + exp(value - larger);
        maximum = larger;
      }
      logarithm = log(sum);
    }
    var losses = 0.0;
    var shares = 0.0;
    if (SPREAD) {
      for (var c = 0u; c < params.classes; c++) {
        let q = share(row, c, label);
        losses += q * ((maximum - logit(row, c)) + logarithm);
        shares += q;
      }
    }
    part += outcome(row, label, maximum, logarithm, losses, shares);
  }
  parts[l] = part;
  workgroupBarrier();
  if (l > 0u) { return; }
  var sum = vec2(0.0);
  for (var i = 0u; i < 64u; i++) { sum += parts[i]; }
  if (MEAN) {
    result[0] = sum.x / sum.y;
    scale[0] = 1.0 / sum.y;
  } else {
    result[0] = sum.x;
    scale[0] = 1.0;
  }
}
