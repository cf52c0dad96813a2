import { gridFor, type Kernel } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import type { Tensor } from "../../tensor.js";
import erf from "../elementwise/erf.wgsl";
import { ownKernelHead } from "../rows/step.js";
import forwardNaive from "./1-naive.wgsl";
import forwardVec4 from "./2-vec4.wgsl";
import forwardTail from "./3-tail.wgsl";
import forwardLoop from "./4-loop.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardVec4 from "./backward/2-vec4.wgsl";
import backwardOneExp from "./backward/3-one-exp.wgsl";
import backwardTail from "./backward/4-tail.wgsl";
import backwardLoop from "./backward/5-loop.wgsl";
import backwardParams from "./backward/params.wgsl";
import four from "./four.wgsl";
import one from "./one.wgsl";
import forwardParams from "./params.wgsl";
import tail from "./tail.wgsl";

/** What the choice of a kernel may depend on. */
export interface GeluProblem {
  /** Elements. */
  readonly count: number;
  readonly dtype: Dtype;
  /** Whether all operands begin at a multiple of four elements, so that four can be read at once. */
  readonly aligned: boolean;
}

/** A kernel that reads `inputs` without gaps and writes one number for each. */
export interface GeluStep extends LadderStep<GeluProblem> {
  run(inputs: readonly Tensor[], output: Tensor): void;
}

function step(
  kernel: Kernel,
  lanes: 1 | 4,
  file: OwnKernel,
  texts: Pick<GeluStep, "name" | "idea">,
): GeluStep {
  const group = constantOf(file, "GROUP");
  return {
    ...texts,
    needs: (device) =>
      kernel.requires?.includes("subgroups") && !device.features.has("subgroups") ? "subgroups" : null,
    fits: ({ dtype, aligned }, device) => {
      if (dtype === "f16" && !device.features.has("shader-f16")) return "f16, which the adapter lacks";
      return lanes === 4 && !aligned ? "operands that do not begin at a multiple of four" : null;
    },
    run: (inputs, output) => {
      const count = Math.ceil(output.numel / lanes);
      output.device.run(kernel, {
        buffers: [...inputs, output].map((tensor) => tensor.storage.buffer),
        params: [count, ...inputs.map((input) => input.offset / lanes)],
        grid: gridFor(count, group),
        specialisation: { types: { T: output.dtype } },
      });
    },
  };
}

/** The makers of a ladder's steps and of a step of the user's. */
function steps(op: string, params: string) {
  return {
    engine: (name: string, idea: string, source: string, lanes: 1 | 4): GeluStep => {
      const snippets = [lanes === 1 ? one : four, erf, tail, params];
      return step({ name: `${op}/${name}`, source, snippets }, lanes, { name, source }, { name, idea });
    },
    own: (kernel: OwnKernel): GeluStep =>
      step(
        { ...ownKernelHead(op, kernel), source: kernel.source, snippets: [one, erf, tail, params] },
        1,
        kernel,
        { name: kernel.name, idea: "yours" },
      ),
  };
}

const shapeClass = ({ count, dtype, aligned }: GeluProblem) =>
  `${sizeBucket(count)},${dtype}${aligned ? "" : ",unaligned"}`;

/** On a processor invocations are dear, so that each takes many elements; a GPU has lanes for all. */
function ruleOf(software: string, gpu: string): Ladder<GeluProblem>["rule"] {
  return (device, { aligned }) => {
    if (!aligned) return { step: "1-naive", why: "operands that do not begin at a multiple of four" };
    return device.info.isFallbackAdapter
      ? { step: software, why: "a processor: invocations are dear" }
      : { step: gpu, why: "lanes enough for all elements" };
  };
}

const forward = steps("gelu", forwardParams);
const backward = steps("gelu.backward", backwardParams);

/** x F(x), F the normal distribution function. */
export const geluLadder: Ladder<GeluProblem, GeluStep> = {
  op: "gelu",
  steps: [
    forward.engine("1-naive", "one element an invocation", forwardNaive, 1),
    forward.engine("2-vec4", "four elements an invocation", forwardVec4, 4),
    forward.engine("3-tail", "one formula for F's tail", forwardTail, 4),
    forward.engine("4-loop", "16 groups of four an invocation", forwardLoop, 4),
  ],
  rule: ruleOf("4-loop", "3-tail"),
  shapeClass,
  own: forward.own,
};

/** dy (F(x) + x F'(x)). */
export const geluBackwardLadder: Ladder<GeluProblem, GeluStep> = {
  op: "gelu.backward",
  steps: [
    backward.engine("1-naive", "one element an invocation", backwardNaive, 1),
    backward.engine("2-vec4", "four elements an invocation", backwardVec4, 4),
    backward.engine("3-one-exp", "one exp for the tail of F and for its derivative", backwardOneExp, 4),
    backward.engine("4-tail", "one formula for F's tail", backwardTail, 4),
    backward.engine("5-loop", "16 groups of four an invocation", backwardLoop, 4),
  ],
  rule: ruleOf("5-loop", "4-tail"),
  shapeClass,
  own: backward.own,
};
