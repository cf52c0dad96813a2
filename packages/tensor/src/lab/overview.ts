import type { Device } from "../device/device.js";
import { choose, type LadderStep } from "../kernels/ladder.js";
import type { LabEntry } from "./entry.js";

/** One step, as a list of ladders shows it. */
export interface StepOverview {
  readonly name: string;
  readonly idea: string;
  /** What it needs beyond the least that WebGPU guarantees; null if nothing. */
  readonly requires: string | null;
  /** What this device lacks of that; null if it can run it. */
  readonly lacks: string | null;
}

/** The step that a shape gets now. */
export interface ShapeChoice {
  readonly shape: string;
  readonly shapeClass: string;
  readonly step: string;
  readonly why: string;
}

/** What `wgrad kernels list` knows of one ladder. */
export interface LadderOverview {
  readonly op: string;
  readonly summary: string;
  readonly reference: string;
  readonly shapeFormat: string;
  readonly steps: readonly StepOverview[];
  /** One for each bench shape. */
  readonly choices: readonly ShapeChoice[];
}

/** The steps of a ladder, which of them a device can run, and which is chosen for each bench shape. */
export function overview(device: Device, entry: LabEntry): LadderOverview {
  const { ladder, summary, reference, shapeFormat } = entry;
  return {
    op: ladder.op,
    summary,
    reference,
    shapeFormat,
    steps: ladder.steps.map((step) => ({
      name: step.name,
      idea: step.idea,
      requires: requires(device, step),
      lacks: step.needs(device),
    })),
    choices: entry.benchShapes.map((shape) => {
      const { problem } = entry.workload(shape);
      const { step, why } = choose(device, ladder, problem);
      return { shape, shapeClass: ladder.shapeClass(problem), step: step.name, why };
    }),
  };
}

/** The limits that WebGPU guarantees, as far as kernels depend on them. */
const GUARANTEED = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 2 ** 27,
  maxBufferSize: 2 ** 28,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** What a step would ask of an adapter that offers nothing but what every adapter does. */
function requires(device: Device, step: LadderStep<unknown>): string | null {
  const bare: Device = Object.create(device, {
    features: { value: new Set<string>() },
    limits: { value: GUARANTEED },
    subgroupSize: { value: 0 },
  });
  return step.needs(bare);
}
