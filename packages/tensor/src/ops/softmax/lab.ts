import type { LabEntry } from "../../lab/entry.js";
import { Inputs, parseShapeText, providedForRows, rowContract, type ShapeText } from "../rows/lab.js";
import { numbers, rounded } from "../rows/numbers.js";
import naive from "./1-naive.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardParams from "./backward/params.wgsl";
import { tolerance } from "./cases.js";
import { softmaxGradient, softmaxValues } from "./index.js";
import { type SoftmaxProblem, softmaxBackwardLadder, softmaxLadder } from "./ladder.js";
import params from "./params.wgsl";
import { softmaxGradientReference, softmaxReference } from "./reference.js";

const format = "ROWSxLENGTH[xINNER][,log][,f16]";

function parse(text: string): ShapeText & { readonly problem: SoftmaxProblem; readonly shape: number[] } {
  const found = parseShapeText("softmax", text, { format, sizes: [2, 3], flags: ["f16", "log"] });
  const [outer, length, inner = 1] = found.sizes as [number, number, number?];
  const problem = { rows: outer * inner, length, inner, dtype: found.dtype, log: found.flags.has("log") };
  return { ...found, problem, shape: [outer, length, inner] };
}

const count = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const benchShapes = ["12288x64", "2048x512", "1536x128", "1024x1024"];
const checkShapes = [
  ...["1x1", "3x7", "65x64", "5x65", "7x333", "2x5000", "1x40000", "130x12", "3x66x8", "9x7x5", "4x12x64"],
  ...["5x65,log", "3x768,log", "3x66x8,log", "9x128,f16", "9x77,f16", "70x64,f16,log", "3x20x6,f16"],
];

/** Softmax and log-softmax. */
const forward: LabEntry<SoftmaxProblem> = {
  ladder: softmaxLadder,
  summary: "y = exp(x) / sum(exp(x)) of each row; with `log` its logarithm",
  reference: "torch.softmax, torch.log_softmax",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload(text) {
    const { problem, shape, dtype, bytesPerElement } = parse(text);
    const { length, inner, log } = problem;
    return {
      shape: text,
      flop: 0,
      bytes: 2 * count(shape) * bytesPerElement,
      problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const data = numbers(count(shape), 1, dtype, 4);
        const x = inputs.tensor(data, shape, dtype);
        return inputs.prepared(
          () => ({ y: softmaxValues(x, { dim: 1, log }) }),
          () => ({ y: softmaxReference(data, length, inner, log) }),
          tolerance(dtype),
        );
      },
    };
  },
  contract: {
    description: [
      "x at params.offset, y from 0: rows of params.length Elements, which are neighbours (params.inner is 1).",
      "LOG is true where the logarithm is wanted.",
      ...rowContract,
    ],
    provided: [...providedForRows, params],
    template: naive,
  },
};

/** The gradient from the result. */
const backward: LabEntry<SoftmaxProblem> = {
  ladder: softmaxBackwardLadder,
  summary: "dx = y (dy - sum(y dy)) of each row; with `log` dx = dy - exp(y) sum(dy)",
  reference: "torch.softmax's and torch.log_softmax's backward",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload(text) {
    const { problem, shape, dtype, bytesPerElement } = parse(text);
    const { length, inner, log } = problem;
    return {
      shape: text,
      flop: 0,
      bytes: 3 * count(shape) * bytesPerElement,
      problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const gradient = numbers(count(shape), 2, dtype);
        const values = rounded(
          softmaxReference(numbers(count(shape), 1, dtype, 4), length, inner, log),
          dtype,
        );
        const y = inputs.tensor(values, shape, dtype);
        const dy = inputs.tensor(gradient, shape, dtype);
        const limit = tolerance(dtype);
        return inputs.prepared(
          () => ({ dx: softmaxGradient(y, dy, { dim: 1, log }) }),
          () => ({ dx: softmaxGradientReference(values, gradient, length, inner, log) }),
          // The sum of dy over a row is what exp(y) is multiplied with.
          log ? { ...limit, atol: 4 * limit.atol * Math.sqrt(length) } : limit,
        );
      },
    };
  },
  contract: {
    description: [
      "y at params.y_offset, dy at params.dy_offset, dx from 0: rows of params.length Elements, which are neighbours.",
      "LOG is true for log-softmax.",
      ...rowContract,
    ],
    provided: [...providedForRows, backwardParams],
    template: backwardNaive,
  },
};

export const entries: readonly LabEntry[] = [forward as LabEntry, backward as LabEntry];
