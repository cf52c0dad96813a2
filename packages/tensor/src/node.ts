/**
 * Opens a device in Node through Dawn (npm `webgpu`).
 * @module
 */
import { Device, type DeviceOptions } from "./device/device.js";
import { DeviceError } from "./errors.js";

/** Options of `openDevice` in Node. */
export interface NodeDeviceOptions extends DeviceOptions {
  /** Dawn's flags, such as `backend=null` or `adapter=llvmpipe`. */
  dawnFlags?: readonly string[];
}

/**
 * Dawn's objects, one for each list of flags, for the life of the process: a device crashes Node (SIGSEGV) once the object
 * that `create()` returned has been collected. See docs/decisions/0001-dawn-in-node.md.
 */
const instances = new Map<string, GPU>();

/**
 * Opens a device on the machine's WebGPU adapter.
 * @throws DeviceError `E_NO_WEBGPU` if the npm package `webgpu` is not installed, `E_NO_ADAPTER` if there is no adapter
 */
export async function openDevice(options: NodeDeviceOptions = {}): Promise<Device> {
  const flags = [...(options.dawnFlags ?? [])];
  const key = flags.join("\n");
  let gpu = instances.get(key);
  if (!gpu) {
    gpu = (await loadDawn()).create(flags) as GPU;
    instances.set(key, gpu);
  }
  return Device.open(gpu, options, waitQuietly);
}

async function loadDawn(): Promise<typeof import("webgpu")> {
  try {
    return await import("webgpu");
  } catch (cause) {
    throw new DeviceError(
      "E_NO_WEBGPU",
      `the npm package "webgpu" (Dawn for Node) could not be loaded: ${(cause as Error).message.split("\n")[0]}. ` +
        "Install it beside @wgrad/tensor: npm install webgpu",
      { cause },
    );
  }
}

const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * Awaits a promise of Dawn's. Its binding polls from `setImmediate` while anything is pending and keeps a core busy, which a
 * software driver needs; short sleeps between the polls take that load away.
 */
async function waitQuietly<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  const settled = promise.finally(() => {
    pending = false;
  });
  const pause = () => {
    if (!pending) return;
    Atomics.wait(clock, 0, 0, 0.2);
    setImmediate(pause);
  };
  setImmediate(pause);
  return settled;
}
