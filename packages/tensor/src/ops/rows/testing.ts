import type { Device } from "../../device/device.js";
import type { Ladder } from "../../kernels/ladder.js";
import { openDevice } from "../../node.js";

export { numbers } from "./numbers.js";

/** The adapter as it is, and limited to what WebGPU guarantees: 256 invocations, no f16, no subgroups. */
export async function openBoth(): Promise<{ name: string; device: Device }[]> {
  return [
    { name: "all features", device: await openDevice() },
    { name: "guaranteed limits only", device: await openDevice({ limits: "default", features: [] }) },
  ];
}

/**
 * Choices of steps to run a test with: the default, then the first steps of all ladders, the second, and so on, so that each step
 * of each has its turn. A ladder without a step that can run there stays with its rule.
 */
export function stepChoices(
  device: Device,
  ladders: readonly Ladder<never>[],
): { readonly name: string; apply(): void }[] {
  const depth = Math.max(...ladders.map((ladder) => ladder.steps.length));
  const choices = Array.from({ length: depth }, (_, i) => {
    const steps = ladders.flatMap((ladder) => {
      const step = ladder.steps[i];
      return step && step.needs(device) === null ? [[ladder.op, step.name] as const] : [];
    });
    return {
      name: steps.map(([op, step]) => `${op}/${step}`).join(" "),
      apply: () => {
        for (const [op, step] of steps) device.variants.set(op, step);
      },
    };
  });
  return [{ name: "the default", apply: () => {} }, ...choices.filter(({ name }) => name !== "")];
}
