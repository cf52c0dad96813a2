import type { Dtype } from "../../dtype.js";
import { type Ladder, sizeBucket } from "../../kernels/ladder.js";
import { ownRowStep, type RowStep, rowSteps } from "../rows/step.js";
import forwardNaive from "./1-naive.wgsl";
import forwardWorkgroup from "./2-workgroup.wgsl";
import forwardSubgroup from "./3-subgroup.wgsl";
import forwardWhole from "./4-whole.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardWorkgroup from "./backward/2-workgroup.wgsl";
import gradient from "./backward/gradient.wgsl";
import loss from "./loss.wgsl";
import outcome from "./outcome.wgsl";
import outputs from "./outputs.wgsl";

/** What the choice of a kernel may depend on. */
export interface CrossEntropyProblem {
  readonly rows: number;
  readonly classes: number;
  /** How far apart the classes of a row lie. */
  readonly inner: number;
  readonly dtype: Dtype;
  /** Whether every class counts in every row: probabilities as target, or label smoothing. */
  readonly spread: boolean;
  /** Whether mean or sum is wanted, not the losses of the rows. */
  readonly reduced: boolean;
}

/** A step of the forward ladder. */
export interface CrossEntropyStep extends RowStep<CrossEntropyProblem> {
  /** True if it makes the mean or sum as well: one dispatch in place of two. */
  readonly whole: boolean;
}

function shapeClass({ rows, classes, inner, dtype, spread, reduced }: CrossEntropyProblem): string {
  const flags = [inner > 1 ? "apart" : "", spread ? "spread" : "", reduced ? "" : "none"].filter(Boolean);
  return [`${sizeBucket(rows)}x${sizeBucket(classes)}`, dtype, ...flags].join(",");
}

const forwardSnippets = () => [loss, outcome, outputs];
const backwardSnippets = () => [loss, gradient];
const forward = rowSteps<CrossEntropyProblem>("cross_entropy", forwardSnippets);
const whole = rowSteps<CrossEntropyProblem>("cross_entropy", () => [loss, outcome]);
const backward = rowSteps<CrossEntropyProblem>("cross_entropy.backward", backwardSnippets);

/**
 * Classes from which a workgroup has enough to do with one row: on a GPU, and on a software driver, whose barriers are dear.
 * On llvmpipe, forward and backward in CPU ms, step 1 and step 2: 256x512 1.8 and 3.7, 1024x1000 7.7 and 14.5, 64x30522 17.9 and 14.1.
 */
const MANY_CLASSES = { gpu: 512, software: 16384 };
/** Logits up to which one workgroup is enough for all rows. */
const FEW_LOGITS = 4096;
const FEW_ROWS = 256;

const manyClasses = (software: boolean, { classes, inner }: CrossEntropyProblem) =>
  inner === 1 && classes >= (software ? MANY_CLASSES.software : MANY_CLASSES.gpu);

const everyRow = (step: RowStep<CrossEntropyProblem>): CrossEntropyStep => ({ ...step, whole: false });

/** Cross entropy with its log-softmax. */
export const crossEntropyLadder: Ladder<CrossEntropyProblem, CrossEntropyStep> = {
  op: "cross_entropy",
  steps: [
    everyRow(forward("1-naive", "a row an invocation, log-softmax in one pass", forwardNaive, "none")),
    everyRow(forward("2-workgroup", "a row a workgroup, for many classes", forwardWorkgroup, "tree")),
    everyRow(forward("3-subgroup", "a row a workgroup, reduced by subgroups", forwardSubgroup, "subgroups")),
    {
      ...whole("4-whole", "all rows in one workgroup, and their mean: one dispatch", forwardWhole, "none"),
      fits: (problem, device) => {
        if (!problem.reduced) return "losses of single rows";
        return forward("1-naive", "", forwardNaive, "none").fits?.(problem, device) ?? null;
      },
      whole: true,
    },
  ],
  rule(device, problem) {
    const { rows, classes, reduced } = problem;
    if (reduced && rows <= FEW_ROWS && rows * classes <= FEW_LOGITS) {
      return { step: "4-whole", why: "so few logits that one workgroup is enough" };
    }
    if (!manyClasses(device.info.isFallbackAdapter, problem)) {
      return { step: "1-naive", why: "rows are short" };
    }
    return device.features.has("subgroups") && !device.info.isFallbackAdapter
      ? { step: "3-subgroup", why: "rows long enough for a workgroup" }
      : { step: "2-workgroup", why: "rows long enough for a workgroup" };
  },
  shapeClass,
  own: (kernel) => everyRow(ownRowStep("cross_entropy", kernel, forwardSnippets)),
};

/** The gradient of the logits. */
export const crossEntropyBackwardLadder: Ladder<CrossEntropyProblem, RowStep<CrossEntropyProblem>> = {
  op: "cross_entropy.backward",
  steps: [
    backward("1-naive", "a row an invocation", backwardNaive, "none"),
    backward("2-workgroup", "a row a workgroup, for many classes", backwardWorkgroup, "tree"),
  ],
  rule: (device, problem) =>
    manyClasses(device.info.isFallbackAdapter, problem)
      ? { step: "2-workgroup", why: "rows long enough for a workgroup" }
      : { step: "1-naive", why: "rows are short" },
  shapeClass,
  own: (kernel) => ownRowStep("cross_entropy.backward", kernel, backwardSnippets),
};
