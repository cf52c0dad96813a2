import { f32, gridFor, type Kernel } from "../../device/kernel.js";
import { choose } from "../../kernels/ladder.js";
import type { Tensor } from "../../tensor.js";
import countSource from "./count-steps.wgsl";
import { type AdamSettings, type AdamSlot, type AdamStep, adamw, launchAdam } from "./ladder.js";
import { arrangeMoments, type MomentOwner } from "./moments.js";

const counting: Kernel = { name: "adamw/count-steps", source: countSource };

/** Elements of `control` before those of the first parameter, and of each parameter. */
const BLOCK = 4;

/** Elements of a `control` tensor for `count` parameters: see `countSteps`. */
export function controlSize(count: number): number {
  return BLOCK * (1 + count);
}

/** Place of the bias corrections of a parameter in `control`, in elements. */
export function correctionsAt(index: number): number {
  return BLOCK * (1 + index);
}

/** Place of the number of steps of a parameter in `control`, in elements. */
export function stepsAt(index: number): number {
  return correctionsAt(index) + 2;
}

/**
 * Counts a step of the parameters `first` … `first + count - 1` in `control`, unless `foundInf` is not 0, and puts there what
 * Adam's kernels need: the factor of the gradients, whether to skip, and the bias corrections.
 * @param control f32, `controlSize` elements
 * @param scale, foundInf 0-d f32 tensors
 */
export function countSteps(
  control: Tensor,
  range: { first: number; count: number },
  scale: Tensor,
  foundInf: Tensor,
  betas: readonly [number, number],
): void {
  control.device.run(counting, {
    buffers: [scale, foundInf, control].map((tensor) => tensor.storage.buffer),
    params: [
      range.first,
      range.count,
      scale.offset,
      foundInf.offset,
      f32(Math.log(betas[0])),
      f32(Math.log(betas[1])),
    ],
    grid: gridFor(range.count, 64),
  });
  control.storage.version++;
}

/** Chooses the kernel for these parameters and brings their moments into the layout that it wants. */
export function prepareAdam(owners: readonly MomentOwner[]): AdamStep {
  const { device } = owners[0]!.parameter;
  const elements = owners.reduce((sum, { parameter }) => sum + parameter.numel, 0);
  const { step } = choose(device, adamw, { tensors: owners.length, elements });
  arrangeMoments(owners, step.layout);
  return step;
}

/** One step of Adam or AdamW on many tensors, in place, by the kernel that `prepareAdam` chose. */
export function adamStep(step: AdamStep, slots: readonly AdamSlot[], settings: AdamSettings): void {
  launchAdam(settings.control.device, step, slots, settings);
  for (const { parameter, expAvg, expAvgSq } of slots) {
    parameter.storage.version++;
    expAvg.storage.version++;
    expAvgSq.storage.version++;
  }
}

export type { AdamSettings, AdamSlot, MomentOwner };
