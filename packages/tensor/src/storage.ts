import type { Device } from "./device/device.js";
import type { PooledBuffer } from "./device/pool.js";

/**
 * Memory of one or more tensors (a tensor and its views share one). Counted: when the last handle and the last saved
 * reference of the tape are gone the buffer goes back to the pool.
 */
export class Storage {
  readonly device: Device;
  readonly buffer: PooledBuffer;
  /** Raised by every in-place change, so that the tape notices when a tensor it saved was overwritten. */
  version = 0;
  #references = 0;

  constructor(device: Device, buffer: PooledBuffer) {
    this.device = device;
    this.buffer = buffer;
  }

  /** Handles that share this memory, saved ones included. */
  get references(): number {
    return this.#references;
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    this.#references--;
    if (this.#references === 0) this.device.pool.release(this.buffer);
  }
}
