import type { Contract, LabEntry } from "../../lab/entry.js";
import { Tensor } from "../../tensor.js";
import { manyFormat, parseManyShape } from "../many/lab.js";
import { Inputs } from "../rows/lab.js";
import { numbers } from "../rows/numbers.js";
import naive from "./1-naive.wgsl";
import clipNaive from "./clip/1-naive.wgsl";
import clipParams from "./clip/params.wgsl";
import { normOf, scaleInPlace } from "./index.js";
import { clipLadder, type GradientsProblem, gradNormLadder } from "./ladder.js";
import params from "./params.wgsl";
import { clipReference } from "./reference.js";

const benchShapes = ["distilbert384", "24x6144+147456+384+768+2"];
const checkShapes = ["1", "5", "1000", "1+4+5+64+257+3+1000", "16x33+5000", "70000+3+70001", "40x7"];
const MAX_NORM = 1.5;

const gradNorm: LabEntry<GradientsProblem> = {
  ladder: gradNormLadder,
  summary: "norm = √(sum of the squares of all gradients); coefficient = min(1, maxNorm / (norm + 1e-6))",
  reference: "torch.nn.utils.get_total_norm",
  shapeFormat: manyFormat,
  benchShapes,
  checkShapes,
  workload(text) {
    const { sizes, elements } = parseManyShape("grad_norm", text);
    return {
      shape: text,
      flop: 2 * elements,
      bytes: 4 * elements,
      problem: { tensors: sizes.length, elements },
      prepare(device) {
        const inputs = new Inputs(device);
        const data = sizes.map((size, i) => numbers(size, i + 1));
        const gradients = data.map((values) => inputs.tensor(values, [values.length]));
        const scale = inputs.own(Tensor.full(device, [], 2));
        return inputs.prepared(
          () => {
            const { norm, coefficient } = normOf(gradients, scale, () => MAX_NORM);
            return { norm, coefficient };
          },
          () => {
            const { norm, coefficient } = clipReference(data, MAX_NORM, 2);
            return { norm: Float64Array.of(norm), coefficient: Float64Array.of(coefficient) };
          },
          { rtol: 4e-6, atol: 0 },
        );
      },
    };
  },
  contract: {
    description: [
      "A dispatch for each gradient, params.count elements of f32. Each square is part of one of the sums that the dispatch writes to",
      "partial, from params.partial_at on: GROUP_SUMS for each workgroup, all of which must be written.",
      "Grid: ceil(count / GROUP_ELEMENTS) workgroups, spread over x and y; declare const GROUP_ELEMENTS: u32 and GROUP_SUMS: u32.",
    ],
    provided: [params],
    template: naive,
  } satisfies Contract,
};

const clip: LabEntry<GradientsProblem> = {
  ladder: clipLadder,
  summary: "g *= factor for all gradients, in place",
  reference: "the second half of torch.nn.utils.clip_grad_norm_",
  shapeFormat: manyFormat,
  benchShapes,
  checkShapes,
  workload(text) {
    const { sizes, elements } = parseManyShape("clip", text);
    const factor = 0.75;
    return {
      shape: text,
      flop: elements,
      bytes: 8 * elements,
      problem: { tensors: sizes.length, elements },
      prepare(device) {
        const inputs = new Inputs(device);
        const data = sizes.map((size, i) => numbers(size, i + 1));
        const gradients = data.map((values) => inputs.tensor(values, [values.length]));
        const control = inputs.own(Tensor.full(device, [], factor));
        // It changes its inputs: where results are compared each run has copies, where time is taken the runs go on.
        let compared = false;
        const prepared = inputs.prepared(
          () => {
            const mine = compared ? gradients.map((g) => g.clone()) : gradients;
            scaleInPlace(mine, control);
            return compared ? Object.fromEntries(mine.map((g, i) => [`g${i}`, g])) : {};
          },
          () =>
            Object.fromEntries(
              data.map((values, i) => [`g${i}`, Float64Array.from(values, (g) => g * factor)]),
            ),
          { rtol: 1e-6, atol: 0 },
        );
        return {
          ...prepared,
          expected: () => {
            compared = true;
            return prepared.expected();
          },
        };
      },
    };
  },
  contract: {
    description: [
      "A dispatch for each gradient, params.count elements of f32, changed in place; the factor is control[params.scale_at].",
      "Grid: ceil(count / GROUP_ELEMENTS) workgroups, spread over x and y; declare const GROUP_ELEMENTS: u32. Arrays may be of f32",
      "or of vec4<f32>: memory goes on to the next multiple of four elements at least.",
    ],
    provided: [clipParams],
    template: clipNaive,
  } satisfies Contract,
};

export const entries: readonly LabEntry[] = [gradNorm as LabEntry, clip as LabEntry];
