// sum + x · y for one row x of four k and four columns y. Component by component: with vec4 operations the compiler of
// llvmpipe makes 20-30% slower code, and GPUs, which are scalar in each lane, do not mind.
fn accumulate(sum: vec4<f32>, x: vec4<f32>, y: mat4x4<f32>) -> vec4<f32> {
  var s = sum;
  for (var i = 0u; i < 4u; i++) {
    s.x = fma(x[i], y[i].x, s.x);
    s.y = fma(x[i], y[i].y, s.y);
    s.z = fma(x[i], y[i].z, s.z);
    s.w = fma(x[i], y[i].w, s.w);
  }
  return s;
}
