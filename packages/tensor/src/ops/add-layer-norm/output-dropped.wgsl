// What was normalised was dropout(x) + residual: its gradient is that of the residual, and after the same dropout that of x.
@group(0) @binding(5) var<storage, read_write> dx: array<Elements>;
@group(0) @binding(6) var<storage, read_write> dresidual: array<Elements>;
fn leave(i: u32, gradient: V) {
  dresidual[i] = Elements(gradient);
  dx[i] = Elements(branch(i, gradient));
}
