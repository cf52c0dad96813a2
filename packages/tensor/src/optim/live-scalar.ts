import type { Device } from "../device/device.js";
import { f32, type Kernel, live } from "../device/kernel.js";
import fill from "../ops/fill/fill.wgsl";
import { Tensor } from "../tensor.js";

const kernel: Kernel = { name: "fill", source: fill };

/** A 0-d f32 tensor of a number on the host that is read anew at each replay of a captured step. */
export function liveScalar(device: Device, read: () => number): Tensor {
  const made = Tensor.empty(device, []);
  device.run(kernel, {
    buffers: [made.storage.buffer],
    params: [1, live(() => f32(read()))],
    grid: [1, 1, 1],
  });
  return made;
}
