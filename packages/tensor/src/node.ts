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
let waiting = 0;
let polling = false;
let since = 0;

/**
 * Awaits a promise of Dawn's. Its binding polls from `setImmediate` while anything is pending and keeps a core busy, which a
 * software driver needs; sleeps between the polls, a sixteenth of the time waited so far, take that load away.
 */
async function waitQuietly<T>(promise: Promise<T>): Promise<T> {
  since = performance.now();
  waiting++;
  if (!polling) {
    polling = true;
    setImmediate(pause);
  }
  return promise.finally(() => {
    waiting--;
  });
}

/** One chain for all that wait: a wait that begins before the last one's turn has come must not start a second. */
function pause(): void {
  polling = waiting > 0;
  if (!polling) return;
  Atomics.wait(clock, 0, 0, Math.min(1, Math.max(0.05, (performance.now() - since) / 16)));
  setImmediate(pause);
}
