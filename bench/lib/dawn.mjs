// `navigator.gpu` in Node for the peers, which look for it. Same binding (npm `webgpu`) and same flags as wgrad's.
import { create, globals } from "webgpu";

let device = null;
let failure = null;

/** Makes `navigator.gpu` and WebGPU's classes global, and remembers the device that is asked for. */
export function provideNavigator() {
  Object.assign(globalThis, globals);
  const navigator = {
    gpu: create([]),
    userAgent: "node",
    language: "en",
    languages: ["en"],
    platform: "linux",
  };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true, writable: true });
  const { requestDevice } = globals.GPUAdapter.prototype;
  globals.GPUAdapter.prototype.requestDevice = async function (...args) {
    device = await requestDevice.apply(this, args);
    device.addEventListener("uncapturederror", (event) => {
      failure ??= event.error.message;
    });
    return device;
  };
  copySharedMemory();
}

/** Dawn's binding takes no view of a SharedArrayBuffer (the memory of threaded WebAssembly): such data is copied first. */
function copySharedMemory() {
  const { writeBuffer } = globals.GPUQueue.prototype;
  globals.GPUQueue.prototype.writeBuffer = function (buffer, offset, data, start = 0, size) {
    const memory = data.buffer ?? data;
    if (!(memory instanceof SharedArrayBuffer)) {
      const rest = size === undefined ? [] : [size];
      return writeBuffer.call(this, buffer, offset, data, start, ...rest);
    }
    const unit = data.BYTES_PER_ELEMENT ?? 1;
    const from = (data.byteOffset ?? 0) + start * unit;
    const bytes = size === undefined ? data.byteLength - start * unit : size * unit;
    return writeBuffer.call(this, buffer, offset, new Uint8Array(memory, from, bytes).slice());
  };
}

/** The adapter as WebGPU describes it. */
export async function adapterInfo() {
  const {
    vendor,
    architecture,
    device: name,
    description,
  } = (await globalThis.navigator.gpu.requestAdapter()).info;
  return { vendor, architecture, device: name, description };
}

/** Waits until the device has done all that was submitted. @throws what the GPU reported since the last call */
export async function gpuDone() {
  await quietly(device.queue.onSubmittedWorkDone());
  if (failure) throw new Error(`the GPU reported: ${failure}`);
}

const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * Awaits a promise of the GPU's with sleeps between the polls of Dawn's binding, which would otherwise keep a core busy and
 * count as processor time. wgrad does the same on its own.
 */
export async function quietly(promise) {
  let pending = true;
  const settled = Promise.resolve(promise).finally(() => {
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
