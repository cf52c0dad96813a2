import type { Device } from "../../device/device.js";
import { f32 } from "../../device/kernel.js";
import { choose } from "../../kernels/ladder.js";
import type { LabEntry } from "../../lab/entry.js";
import { Tensor } from "../../tensor.js";
import { manyFormat, parseManyShape } from "../many/lab.js";
import { Inputs } from "../rows/lab.js";
import { numbers } from "../rows/numbers.js";
import naive from "./1-naive.wgsl";
import {
  adamStep,
  controlSize,
  correctionsAt,
  countSteps,
  type MomentOwner,
  prepareAdam,
  stepsAt,
} from "./index.js";
import { type AdamProblem, adamw, BYTES_PER_ELEMENT } from "./ladder.js";
import params from "./params.wgsl";
import { type AdamReferenceSettings, adamReference } from "./reference.js";

const FLAGS = ["adam", "counted", "skip"];

/** Data of one tensor. */
interface Data {
  readonly parameter: Float32Array;
  readonly gradient: Float32Array;
  readonly expAvg: Float32Array;
  readonly expAvgSq: Float32Array;
}

function dataOf(count: number, seed: number): Data {
  return {
    parameter: numbers(count, 4 * seed + 1),
    gradient: numbers(count, 4 * seed + 2),
    expAvg: numbers(count, 4 * seed + 3, "f32", 0.1),
    expAvgSq: numbers(count, 4 * seed + 4, "f32", 0.01, 0.02),
  };
}

function tensorsOf(device: Device, data: Data): { owner: MomentOwner; gradient: Tensor } {
  const make = (values: Float32Array) => Tensor.from(device, values, [values.length]).keep();
  const state = { exp_avg: make(data.expAvg), exp_avg_sq: make(data.expAvgSq) };
  return { owner: { parameter: make(data.parameter), state }, gradient: make(data.gradient) };
}

type Problem = ReturnType<typeof tensorsOf>;

/** One step over all tensors with the kernel that is chosen now; their moments move into its layout. */
function run(
  problems: readonly Problem[],
  settings: AdamReferenceSettings,
  flags: ReadonlySet<string>,
): void {
  const { device } = problems[0]!.gradient;
  const kernel = prepareAdam(problems.map(({ owner }) => owner));
  const { lr, betas, eps, weightDecay, step, decoupled, scale } = settings;
  const counted = flags.has("counted") || flags.has("skip");
  const factor = Tensor.full(device, [], scale);
  let control = factor;
  if (counted) {
    control = Tensor.zeros(device, [controlSize(problems.length)]);
    const steps = Float32Array.from({ length: control.numel }, (_, i) =>
      i % 4 === stepsAt(0) % 4 ? step - 1 : 0,
    );
    control.copy_(steps);
    countSteps(
      control,
      { first: 0, count: problems.length },
      factor,
      Tensor.full(device, [], flags.has("skip") ? 1 : 0),
      betas,
    );
  }
  adamStep(
    kernel,
    problems.map(({ owner: { parameter, state }, gradient }, i) => ({
      parameter,
      gradient,
      expAvg: state.exp_avg as Tensor,
      expAvgSq: state.exp_avg_sq as Tensor,
      rate: f32(counted ? lr : lr / (1 - betas[0] ** step)),
      inverseRoot: f32(1 / Math.sqrt(1 - betas[1] ** step)),
      decay: f32(decoupled ? lr * weightDecay : weightDecay),
      correctionsAt: correctionsAt(i),
    })),
    {
      oneMinusBeta1: f32(1 - betas[0]),
      beta2: f32(betas[1]),
      oneMinusBeta2: f32(1 - betas[1]),
      eps: f32(eps),
      decoupled,
      control,
      counted,
    },
  );
}

function dispose(problems: readonly Problem[]): void {
  for (const { owner, gradient } of problems) {
    for (const tensor of [owner.parameter, gradient, ...Object.values(owner.state)])
      (tensor as Tensor).dispose();
  }
}

/** AdamW and Adam over many tensors. */
const entry: LabEntry<AdamProblem> = {
  ladder: adamw,
  summary:
    "g *= scale; p -= lr decay p; m += (1 - b1) (g - m); v = b2 v + (1 - b2) g²; p -= lr / (1 - b1^t) m / (√(v / (1 - b2^t)) + eps)",
  reference:
    "torch.optim.AdamW; with `adam` torch.optim.Adam; with `counted` its capturable form, which may skip",
  shapeFormat: `${manyFormat}[,adam][,counted][,skip]`,
  benchShapes: ["distilbert384", "24x6144+147456+384+768+2"],
  checkShapes: [
    ...["1", "5", "1000", "1+4+5+64+257+3+1000", "16x33+5000", "70000+3+70001"],
    ...["1+4+5+64+257,adam", "1+4+5+64+257,counted", "3+70+4097,skip"],
  ],
  workload(text) {
    const { sizes, elements, flags } = parseManyShape("adamw", text, FLAGS);
    const settings: AdamReferenceSettings = {
      lr: 0.05,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0.1,
      step: 3,
      decoupled: !flags.has("adam"),
      scale: 0.75,
    };
    return {
      shape: text,
      flop: 0,
      bytes: BYTES_PER_ELEMENT * elements,
      problem: { tensors: sizes.length, elements },
      prepare(device) {
        const inputs = new Inputs(device);
        const data = sizes.map(dataOf);
        // A step changes its inputs. Where results are compared each run has tensors of its own; where time is taken the runs go
        // on from one another, as in training, on moments of their own for each layout.
        let compared = false;
        const going = new Map<string, Problem[]>();
        const made = () => data.map((one) => tensorsOf(device, one));
        const prepared = inputs.prepared(
          () => {
            if (!compared) {
              const { layout } = choose(device, adamw, { tensors: sizes.length, elements }).step;
              const problems = going.get(layout) ?? made();
              going.set(layout, problems);
              run(problems, settings, flags);
              return {};
            }
            const problems = made();
            run(problems, settings, flags);
            const out: Record<string, Tensor> = {};
            problems.forEach(({ owner: { parameter, state }, gradient }, i) => {
              out[`p${i}`] = parameter;
              out[`m${i}`] = state.exp_avg as Tensor;
              out[`v${i}`] = state.exp_avg_sq as Tensor;
              gradient.dispose();
            });
            return out;
          },
          () => {
            const out: Record<string, Float32Array | Float64Array> = {};
            data.forEach(({ parameter, gradient, expAvg, expAvgSq }, i) => {
              const { p, m, v } = flags.has("skip")
                ? { p: parameter, m: expAvg, v: expAvgSq }
                : adamReference(parameter, gradient, expAvg, expAvgSq, settings);
              Object.assign(out, { [`p${i}`]: p, [`m${i}`]: m, [`v${i}`]: v });
            });
            return out;
          },
          { rtol: 4e-6, atol: 2e-7 },
        );
        return {
          ...prepared,
          expected: () => {
            compared = true;
            return prepared.expected();
          },
          dispose: () => {
            prepared.dispose();
            for (const problems of going.values()) dispose(problems);
          },
        };
      },
    };
  },
  contract: {
    description: [
      "A dispatch for each parameter tensor: gradient, parameter and the two moments, params.count elements each, f32, in place.",
      "this_step() gives the factor of the gradients, the step's size, 1 / √(1 - beta2^t), and whether the step is skipped: then",
      "nothing may be changed. DECOUPLED is true for AdamW, false for Adam.",
      "Grid: ceil(count / GROUP_ELEMENTS) workgroups, spread over x and y; declare const GROUP_ELEMENTS: u32. Arrays may be of f32",
      "or of vec4<f32>: memory goes on to the next multiple of four elements at least.",
    ],
    provided: ["const DECOUPLED: bool = true;\nconst COUNTED: bool = false;", params],
    template: naive,
  },
};

export const entries: readonly LabEntry[] = [entry as LabEntry];
