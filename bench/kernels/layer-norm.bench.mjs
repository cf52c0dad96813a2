// Layer norm's ladder on this machine's adapter: every variant over `benchCases` of `cases.ts`, forward and forward +
// backward with the gradients of weight and bias.
//
//   node bench/kernels/layer-norm.bench.mjs [--variant 3-subgroup] [--case 768] [--reps 7] [--json file]
//
// CPU ms is the processor time of the whole process for one call. On a software driver that is the GPU's time, and it
// survives a busy machine; wall ms is printed beside it. GB counts each array once. Results are checked in
// layer-norm.test.ts.
import { bench, numbers } from "./rows.mjs";

await bench({
  op: "layerNorm",
  name: "layer_norm",
  folder: "layer-norm",
  prepare(layerNorm, Tensor, device, { shape, normalizedShape, eps }) {
    const size = shape.reduce((product, n) => product * n, 1);
    const leaf = (of) =>
      Tensor.from(device, numbers(of.reduce((a, b) => a * b, 1)), of, { requiresGrad: true });
    const [x, weight, bias] = [leaf(shape), leaf(normalizedShape), leaf(normalizedShape)];
    return {
      forward: () => layerNorm(x, normalizedShape, weight, bias, eps),
      leaves: [x, weight, bias],
      dy: Tensor.from(device, numbers(size), shape),
      size,
    };
  },
});
