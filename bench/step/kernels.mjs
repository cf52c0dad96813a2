// Where a step's time goes on a software driver: every dispatch of it run again alone, and its processor time.
import { timed } from "../lib/measure.mjs";

/** Runs `work` and returns the dispatches it recorded, as `device.run` got them. */
export function recordDispatches(device, work) {
  const dispatches = [];
  const { run } = device;
  device.run = (kernel, call) => {
    dispatches.push({ kernel, call: { ...call, buffers: [...call.buffers] } });
    run.call(device, kernel, call);
  };
  work();
  delete device.run;
  return dispatches;
}

/**
 * CPU milliseconds by kernel and grid, the largest first. Contents of the buffers are what the step left there; each figure
 * includes what waiting costs, some tenths of a millisecond a call.
 */
export async function costOfKernels(device, dispatches, repeats = 3) {
  const costs = new Map();
  for (const { kernel, call } of dispatches) {
    const samples = [];
    for (let i = 0; i < repeats; i++) {
      const { cpu } = await timed(async () => {
        device.run(kernel, call);
        await device.synchronize();
      });
      samples.push(cpu);
    }
    const name = `${kernel.name} [${call.grid.join(", ")}]`;
    const cost = costs.get(name) ?? { name, calls: 0, cpu: 0 };
    cost.calls++;
    cost.cpu += Math.min(...samples);
    costs.set(name, cost);
  }
  return [...costs.values()].sort((a, b) => b.cpu - a.cpu);
}
