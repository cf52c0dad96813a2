import type { Device } from "../../device/device.js";
import type { Dtype } from "../../dtype.js";
import { type Ladder, sizeBucket } from "../../kernels/ladder.js";
import { ownRowStep, type RowSharing, type RowStep, rowRule, rowSteps } from "../rows/step.js";
import forwardNaive from "./1-naive.wgsl";
import forwardWorkgroup from "./2-workgroup.wgsl";
import forwardSubgroup from "./3-subgroup.wgsl";
import forwardOnline from "./4-online.wgsl";
import forwardSubgroupRows from "./5-subgroup-rows.wgsl";
import forwardBlocks from "./6-blocks.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardWorkgroup from "./backward/2-workgroup.wgsl";
import backwardSubgroup from "./backward/3-subgroup.wgsl";
import backwardSubgroupRows from "./backward/4-subgroup-rows.wgsl";
import backwardBlocks from "./backward/5-blocks.wgsl";
import backwardParams from "./backward/params.wgsl";
import forwardParams from "./params.wgsl";

/** What the choice of a kernel may depend on. */
export interface SoftmaxProblem {
  readonly rows: number;
  /** Elements of a row. */
  readonly length: number;
  /** How far apart they lie. */
  readonly inner: number;
  readonly dtype: Dtype;
  readonly log: boolean;
}

function shapeClass({ rows, length, inner, dtype, log }: SoftmaxProblem): string {
  return `${sizeBucket(rows)}x${sizeBucket(length)},${dtype}${inner > 1 ? ",apart" : ""}${log ? ",log" : ""}`;
}

/** The step that shares rows as `rowRule` says; rows whose elements lie apart go to one that takes a row an invocation. */
function rule(names: Readonly<Record<RowSharing, string>>): Ladder<SoftmaxProblem>["rule"] {
  return (device: Device, { length, inner }: SoftmaxProblem) => {
    if (inner > 1)
      return { step: names.none, why: "elements of a row lie apart, neighbours are of other rows" };
    const { sharing, why } = rowRule(device, length);
    return { step: names[sharing], why };
  };
}

const forward = rowSteps<SoftmaxProblem>("softmax", () => [forwardParams]);
const backward = rowSteps<SoftmaxProblem>("softmax.backward", () => [backwardParams]);

/** Softmax and log-softmax. */
export const softmaxLadder: Ladder<SoftmaxProblem, RowStep<SoftmaxProblem>> = {
  op: "softmax",
  steps: [
    forward("1-naive", "a row an invocation, three passes: maximum, sum, result", forwardNaive, "none"),
    forward("2-workgroup", "a row a workgroup, trees in workgroup memory", forwardWorkgroup, "tree"),
    forward(
      "3-subgroup",
      "a row a workgroup, reduced by subgroups; two passes in place of three",
      forwardSubgroup,
      "subgroups",
    ),
    forward(
      "4-online",
      "a row an invocation, maximum and sum in one pass; no barrier",
      forwardOnline,
      "none",
    ),
    forward(
      "5-subgroup-rows",
      "a row a subgroup: no barrier, no idle invocations",
      forwardSubgroupRows,
      "one subgroup",
    ),
    forward("6-blocks", "a row an invocation, four elements a rescaling", forwardBlocks, "none"),
  ],
  rule: rule({
    none: "6-blocks",
    tree: "2-workgroup",
    subgroups: "3-subgroup",
    "one subgroup": "5-subgroup-rows",
  }),
  shapeClass,
  own: (kernel) => ownRowStep("softmax", kernel, () => [forwardParams]),
};

/** The gradient of softmax and log-softmax from their result. */
export const softmaxBackwardLadder: Ladder<SoftmaxProblem, RowStep<SoftmaxProblem>> = {
  op: "softmax.backward",
  steps: [
    backward("1-naive", "a row an invocation, two passes: inner product, result", backwardNaive, "none"),
    backward("2-workgroup", "a row a workgroup, a tree in workgroup memory", backwardWorkgroup, "tree"),
    backward("3-subgroup", "a row a workgroup, reduced by subgroups", backwardSubgroup, "subgroups"),
    backward(
      "4-subgroup-rows",
      "a row a subgroup: no barrier, no idle invocations",
      backwardSubgroupRows,
      "one subgroup",
    ),
    backward("5-blocks", "a row an invocation, four elements a round", backwardBlocks, "none"),
  ],
  rule: rule({
    none: "5-blocks",
    tree: "2-workgroup",
    subgroups: "3-subgroup",
    "one subgroup": "4-subgroup-rows",
  }),
  shapeClass,
  own: (kernel) => ownRowStep("softmax.backward", kernel, () => [backwardParams]),
};
