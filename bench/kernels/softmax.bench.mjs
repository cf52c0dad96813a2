// Softmax's ladder on this machine's adapter: every variant over `benchCases` of `cases.ts`, forward and forward + backward.
//
//   node bench/kernels/softmax.bench.mjs [--variant 3-subgroup] [--case 1536] [--reps 7] [--json file]
//
// CPU ms is the processor time of the whole process for one call. On a software driver that is the GPU's time, and it
// survives a busy machine; wall ms is printed beside it. GB counts each array once. Results are checked in softmax.test.ts.
import { bench, numbers } from "./rows.mjs";

await bench({
  op: "softmax",
  name: "softmax",
  folder: "softmax",
  prepare(softmax, Tensor, device, { shape, dim }) {
    const size = shape.reduce((product, n) => product * n, 1);
    const x = Tensor.from(device, numbers(size), shape, { requiresGrad: true });
    return {
      forward: () => softmax(x, dim),
      leaves: [x],
      dy: Tensor.from(device, numbers(size), shape),
      size,
    };
  },
});
