import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Device } from "@wgrad/tensor";
import type { NodeDeviceOptions } from "@wgrad/tensor/node";

/** Mesa's drivers want an existing folder here and complain on every start without one. */
export function ensureRuntimeFolder(): void {
  if (process.platform !== "linux") return;
  const folder = process.env.XDG_RUNTIME_DIR;
  if (!folder || !existsSync(folder)) process.env.XDG_RUNTIME_DIR = tmpdir();
}

/**
 * Runs `body` with a device that is closed afterwards, whatever happens. What `wgrad kernels tune` measured on this adapter
 * is in force.
 */
export async function withDevice<T>(
  options: NodeDeviceOptions,
  body: (device: Device) => Promise<T>,
): Promise<T> {
  ensureRuntimeFolder();
  const { openDevice } = await import("@wgrad/tensor/node");
  const device = await openDevice(options);
  try {
    const { loadCachedTuning } = await import("./kernels/tuning.js");
    await loadCachedTuning(device);
    return await body(device);
  } finally {
    device.close();
  }
}
