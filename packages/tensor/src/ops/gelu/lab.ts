import type { Device } from "../../device/device.js";
import type { LabEntry, Workload } from "../../lab/entry.js";
import erf from "../elementwise/erf.wgsl";
import { Inputs, parseShapeText } from "../rows/lab.js";
import { numbers } from "../rows/numbers.js";
import naive from "./1-naive.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardParams from "./backward/params.wgsl";
import { geluGradient, geluValues } from "./index.js";
import { type GeluProblem, geluBackwardLadder, geluLadder } from "./ladder.js";
import one from "./one.wgsl";
import params from "./params.wgsl";
import { geluGradientReference, geluReference } from "./reference.js";
import tail from "./tail.wgsl";

const format = "ROWSxLENGTH[,unaligned][,f16]";
const benchShapes = ["1024x1536", "2048x3072", "4096x4096"];
const checkShapes = [
  "1x1",
  "5x7",
  "64x64",
  "3x333",
  "300x301",
  "9x12,unaligned",
  "1024x1536",
  "9x77,f16",
  "64x64,f16,unaligned",
];
/** f32: rounding of erf, which is added to 1. f16: one rounding of the result. */
const tolerance = { f32: { rtol: 2e-6, atol: 8e-7 }, f16: { rtol: 2 ** -10, atol: 2 ** -14 } } as const;

/** Workloads of `arrays` arrays; x lies in [-7, 7). */
function workload(
  text: string,
  arrays: number,
  prepare: (
    inputs: Inputs,
    x: Float32Array,
    dy: Float32Array,
    shape: { sizes: number[]; skip: number; dtype: "f32" | "f16" },
  ) => ReturnType<Workload["prepare"]>,
): Workload {
  const found = parseShapeText("gelu", text, { format, sizes: [2], flags: ["f16", "unaligned"] });
  const [rows, length] = found.sizes as [number, number];
  const count = rows * length;
  const skip = found.flags.has("unaligned") ? 1 : 0;
  const problem: GeluProblem = { count, dtype: found.dtype, aligned: skip === 0 };
  return {
    shape: text,
    flop: 0,
    bytes: arrays * count * found.bytesPerElement,
    problem,
    prepare: (device: Device) =>
      prepare(
        new Inputs(device),
        numbers(count + skip, 1, found.dtype, 7),
        numbers(count + skip, 2, found.dtype),
        {
          sizes: [rows, length],
          skip,
          dtype: found.dtype,
        },
      ),
  };
}

const description = [
  "C is f32 and Elements the stored type, f32 or f16: C(x[i]) reads, Elements(v) writes. normal_cdf, normal_pdf, erf and",
  "lower_tail are provided. Offsets count elements; the result begins at 0.",
  "Grid: ceil(count / GROUP) workgroups, spread over x and y; declare const GROUP: u32, the elements a workgroup works on.",
];

const forward: LabEntry<GeluProblem> = {
  ladder: geluLadder,
  summary: "y = x F(x), F the normal distribution function: 0.5 x (1 + erf(x / sqrt 2))",
  reference: "torch.nn.functional.gelu",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload: (text) =>
    workload(text, 2, (inputs, data, _dy, { sizes, skip, dtype }) => {
      const whole = inputs.tensor(data, [data.length], dtype);
      const x = inputs.own(whole.narrow(0, skip, data.length - skip));
      return inputs.prepared(
        () => ({ y: geluValues(x).reshape(sizes) }),
        () => ({ y: geluReference(data.subarray(skip)) }),
        tolerance[dtype],
      );
    }),
  contract: { description, provided: [one, erf, tail, params], template: naive },
};

const backward: LabEntry<GeluProblem> = {
  ladder: geluBackwardLadder,
  summary: "dx = dy (F(x) + x F'(x)), F the normal distribution function",
  reference: "torch.nn.functional.gelu's backward",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload: (text) =>
    workload(text, 3, (inputs, data, gradient, { sizes, skip, dtype }) => {
      const part = (values: Float32Array) =>
        inputs.own(inputs.tensor(values, [values.length], dtype).narrow(0, skip, values.length - skip));
      const [x, dy] = [part(data), part(gradient)];
      return inputs.prepared(
        () => ({ dx: geluGradient(x, dy).reshape(sizes) }),
        () => ({ dx: geluGradientReference(data.subarray(skip), gradient.subarray(skip)) }),
        tolerance[dtype],
      );
    }),
  contract: { description, provided: [one, erf, tail, backwardParams], template: backwardNaive },
};

export const entries: readonly LabEntry[] = [forward as LabEntry, backward as LabEntry];
