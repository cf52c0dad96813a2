import type { Device } from "../device/device.js";
import { KernelError } from "../errors.js";
import { nearest } from "../nearest.js";

/** One kernel of a ladder: a way to compute what all its steps compute. */
export interface LadderStep<Problem> {
  /** Number and idea in a word or two: `3-subgroup`. */
  readonly name: string;
  /** What the step adds to the one before, in one line. */
  readonly idea: string;
  /** What the device lacks for this step, such as "subgroups of at least 8 lanes"; null if it can run it. */
  needs(device: Device): string | null;
  /** Why the step does not take this problem, such as "head size over 128"; null, as without this function, if it does. */
  fits?(problem: Problem, device: Device): string | null;
}

/** A kernel of the user's own for one op: a WGSL file that keeps the op's contract. */
export interface OwnKernel {
  /** Shown in errors, profiles and reports: the file's name. */
  readonly name: string;
  /** Text of the file. */
  readonly source: string;
}

/**
 * Every kernel that can do one job, from the plain port of the reference to the fastest. `Problem` holds what the choice may
 * depend on: sizes, element types, flags.
 */
export interface Ladder<Problem, Step extends LadderStep<Problem> = LadderStep<Problem>> {
  /** Name of the op, or of the part of it: `softmax`, `softmax.backward`, `attention.dkv`. */
  readonly op: string;
  readonly steps: readonly Step[];
  /** The choice where nothing was measured, and the reason for it in a few words. The step named must be able to run. */
  rule(device: Device, problem: Problem): { readonly step: string; readonly why: string };
  /** Problems with the same text share a measured choice: sizes rounded to powers of two, element types, flags. */
  shapeClass(problem: Problem): string;
  /** Makes a step of a user's kernel. @throws KernelError if the text lacks what the contract asks for */
  own(kernel: OwnKernel): Step;
}

/** What was chosen, and why. */
export interface Choice<Step> {
  readonly step: Step;
  /** `your kernel`, `asked for`, `measured on this adapter`, or the rule's reason. */
  readonly why: string;
}

/** Steps made of users' kernels, so that each is made once. */
const ownSteps = new WeakMap<OwnKernel, unknown>();

/** A step of the ladder by name. @throws KernelError with the names there are */
export function stepOf<Problem, Step extends LadderStep<Problem>>(
  ladder: Ladder<Problem, Step>,
  name: string,
): Step {
  const found = ladder.steps.find((step) => step.name === name);
  if (found) return found;
  const names = ladder.steps.map((step) => step.name);
  throw new KernelError(
    `${ladder.op}: there is no variant ${name}. Did you mean ${nearest(name, names)}? There are: ${names.join(", ")}.`,
  );
}

/**
 * The step that a problem gets. In this order: the user's own kernel (`device.ownKernels`), the variant asked for
 * (`device.variants`), the one that the tuner found fastest (`device.tuned`), the ladder's rule. A kernel asked for that does
 * not take the problem leaves it to the rule.
 * @throws KernelError if the variant asked for does not exist or the device cannot run it
 */
export function choose<Problem, Step extends LadderStep<Problem>>(
  device: Device,
  ladder: Ladder<Problem, Step>,
  problem: Problem,
): Choice<Step> {
  const takes = (step: Step) => (step.fits?.(problem, device) ?? null) === null;
  const mine = device.ownKernels.get(ladder.op);
  if (mine) {
    const step = (ownSteps.get(mine) as Step | undefined) ?? ladder.own(mine);
    ownSteps.set(mine, step);
    if (takes(step)) return { step, why: "your kernel" };
  }
  const wanted = device.variants.get(ladder.op);
  if (wanted !== undefined) {
    const step = stepOf(ladder, wanted);
    const lacking = step.needs(device);
    if (lacking !== null) {
      const able = ladder.steps.filter((other) => other.needs(device) === null).map((other) => other.name);
      throw new KernelError(
        `${ladder.op}: variant ${wanted} needs ${lacking}, which this adapter does not have. ` +
          `Here these can run: ${able.join(", ")}.`,
      );
    }
    if (takes(step)) return { step, why: "asked for" };
  }
  if (device.tuned.size > 0) {
    const name = device.tuned.get(`${ladder.op} ${ladder.shapeClass(problem)}`);
    const step = ladder.steps.find((candidate) => candidate.name === name);
    if (step && step.needs(device) === null && takes(step)) return { step, why: "measured on this adapter" };
  }
  const { step, why } = ladder.rule(device, problem);
  return { step: stepOf(ladder, step), why };
}

/** A size rounded up to a power of two: for `shapeClass`. */
export function sizeBucket(size: number): number {
  return size <= 1 ? size : 2 ** Math.ceil(Math.log2(size));
}
