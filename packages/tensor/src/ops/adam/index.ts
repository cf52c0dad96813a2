import { f32, gridFor, type Kernel, type ParamValue } from "../../device/kernel.js";
import type { Tensor } from "../../tensor.js";
import one from "./1-one-tensor.wgsl";
import four from "./2-four-tensors.wgsl";
import rule from "./rule.wgsl";

const oneTensor: Kernel = { name: "adam/1-one-tensor", source: one, snippets: [rule] };
const fourTensors: Kernel = { name: "adam/2-four-tensors", source: four, snippets: [rule] };

/** A parameter with its gradient and moments; all f32, contiguous, of one size. */
export interface AdamSlot {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly expAvg: Tensor;
  readonly expAvgSq: Tensor;
}

/** Settings of one step, as in `torch.optim.AdamW`. */
export interface AdamSettings {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  /** Number of this step, from 1 on. */
  readonly step: number;
  /** Weight decay apart from the gradient (AdamW), not added to it (Adam). */
  readonly decoupled: boolean;
}

/** One step of Adam or AdamW on many tensors, in place. */
export function adamStep(slots: readonly AdamSlot[], settings: AdamSettings): void {
  const first = slots[0];
  if (!first) return;
  const { device } = first.parameter;
  const { lr, betas, eps, weightDecay, step, decoupled } = settings;
  const hyper: ParamValue[] = [
    f32(1 - betas[0]),
    f32(betas[1]),
    f32(1 - betas[1]),
    f32(lr / (1 - betas[0] ** step)),
    f32(1 / Math.sqrt(1 - betas[1] ** step)),
    f32(eps),
    f32(decoupled ? lr * weightDecay : weightDecay),
    0,
  ];
  const specialisation = { constants: { DECOUPLED: decoupled } };
  const buffersOf = (slot: AdamSlot) =>
    [slot.gradient, slot.parameter, slot.expAvg, slot.expAvgSq].map((t) => t.storage.buffer);
  const width = device.limits.maxStorageBuffersPerShaderStage >= 16 ? 4 : 1;
  for (let i = 0; i < slots.length; ) {
    const part = slots.slice(i, i + width);
    const groups = part.map((slot) => Math.ceil(slot.parameter.numel / 4));
    const aligned = part.every((slot) => slot.gradient.offset === 0);
    if (width === 4 && part.length === 4 && aligned) {
      const ends: number[] = [];
      for (const count of groups) ends.push((ends.at(-1) ?? 0) + Math.ceil(count / 64));
      device.run(fourTensors, {
        buffers: part.flatMap(buffersOf),
        params: [...groups, ...ends, ...hyper],
        grid: gridFor(ends[3]! * 64, 64),
        specialisation,
      });
      i += 4;
    } else {
      device.run(oneTensor, {
        buffers: buffersOf(part[0]!),
        params: [groups[0]!, 0, 0, 0, ...hyper],
        grid: gridFor(groups[0]!, 64),
        specialisation,
      });
      i += 1;
    }
  }
  for (const slot of slots) {
    for (const tensor of [slot.parameter, slot.expAvg, slot.expAvgSq]) tensor.storage.version++;
  }
}
