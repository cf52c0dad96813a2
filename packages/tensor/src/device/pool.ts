import { LimitError } from "../errors.js";
import { BufferUsage } from "./constants.js";
import { currentRecorder, noteAcquired } from "./recording.js";

/** A GPU buffer owned by the pool. */
export interface PooledBuffer {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Bytes of the buffer: the size class, not what was asked for. */
  readonly size: number;
  /** Bytes that its present holder asked for. */
  requested: number;
  /** Number of the submission that last refers to it; the queue has passed it once that submission is made. */
  lastUse: number;
}

/** Who holds what: see `Device.memory()`. All sizes in bytes. */
export interface MemoryReport {
  /** Buffers that belong to the pool, in use or free. */
  buffers: number;
  bytes: number;
  /** Buffers that a tensor holds now. */
  liveBuffers: number;
  liveBytes: number;
  /** Largest `liveBytes` since the start or the last `resetPeak`. */
  peakLiveBytes: number;
  /** Largest `bytes`. */
  peakBytes: number;
  /** Tensor handles not yet disposed. */
  liveTensors: number;
  /** Buffers made since the start: constant once a training loop is warm. */
  created: number;
}

/** Size classes: eight to each power of two, so that at most an eighth is unused, and never under 256 bytes. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 3, 8);
  return Math.ceil(bytes / step) * step;
}

/**
 * Buffers by size class. A freed buffer may serve the next dispatch at once, because the queue runs commands in order;
 * a write from the host overtakes commands that are recorded but not submitted, so it gets only buffers that no
 * recorded command refers to.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #free = new Map<number, PooledBuffer[]>();
  readonly #pins = new Map<PooledBuffer, { count: number; released: boolean }>();
  #nextId = 1;
  #buffers = 0;
  #bytes = 0;
  #liveBuffers = 0;
  #liveBytes = 0;
  #peakLiveBytes = 0;
  #peakBytes = 0;
  /** Called with the id of a buffer that is destroyed, so that caches can drop what refers to it. */
  onDestroy: (id: number) => void = () => {};

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /**
   * A buffer of at least `bytes`.
   * @param unusedSince set for host writes: only buffers whose last use lies before that submission are taken
   * @throws LimitError if the adapter cannot bind that much at once
   */
  acquire(bytes: number, unusedSince = Number.POSITIVE_INFINITY): PooledBuffer {
    const size = sizeClass(bytes);
    const limit = Math.min(
      this.#device.limits.maxStorageBufferBindingSize,
      this.#device.limits.maxBufferSize,
    );
    if (bytes > limit) {
      throw new LimitError(
        `a tensor of ${bytes} bytes is over this adapter's limit of ${limit} bytes a buffer. ` +
          "Use a smaller batch or sequence length, or f16.",
      );
    }
    const found = this.#take(size, unusedSince) ?? this.#create(Math.min(size, limit - (limit % 16)));
    found.requested = bytes;
    this.#liveBuffers++;
    this.#liveBytes += found.size;
    this.#peakLiveBytes = Math.max(this.#peakLiveBytes, this.#liveBytes);
    noteAcquired(found);
    return found;
  }

  /** Gives a buffer back. One that a captured step still uses (`pin`) is free only when that lets go of it. */
  release(buffer: PooledBuffer): void {
    currentRecorder()?.released(buffer);
    const pins = this.#pins.get(buffer);
    if (pins) {
      pins.released = true;
      return;
    }
    const list = this.#free.get(buffer.size) ?? [];
    this.#free.set(buffer.size, list);
    // In order of age: a loop that asks for the same sizes gets the same buffers every time, and so finds its bind groups made.
    let at = list.length;
    while (at > 0 && list[at - 1]!.id > buffer.id) at--;
    list.splice(at, 0, buffer);
    this.#liveBuffers--;
    this.#liveBytes -= buffer.size;
  }

  /** Keeps a buffer from being given to another holder, also after its own has released it. */
  pin(buffer: PooledBuffer): void {
    const pins = this.#pins.get(buffer) ?? { count: 0, released: false };
    pins.count++;
    this.#pins.set(buffer, pins);
  }

  /** Undoes one `pin`. */
  unpin(buffer: PooledBuffer): void {
    const pins = this.#pins.get(buffer);
    if (!pins || --pins.count > 0) return;
    this.#pins.delete(buffer);
    if (pins.released) this.release(buffer);
  }

  /** Destroys all free buffers. No command that is recorded but not submitted may refer to one: see `Device.emptyCache`. */
  trim(): void {
    for (const list of this.#free.values()) {
      for (const entry of list) {
        entry.buffer.destroy();
        this.onDestroy(entry.id);
        this.#buffers--;
        this.#bytes -= entry.size;
      }
    }
    this.#free.clear();
  }

  resetPeak(): void {
    this.#peakLiveBytes = this.#liveBytes;
    this.#peakBytes = this.#bytes;
  }

  report(liveTensors: number): MemoryReport {
    return {
      buffers: this.#buffers,
      bytes: this.#bytes,
      liveBuffers: this.#liveBuffers,
      liveBytes: this.#liveBytes,
      peakLiveBytes: this.#peakLiveBytes,
      peakBytes: this.#peakBytes,
      liveTensors,
      created: this.#nextId - 1,
    };
  }

  /** A free buffer of the size class, or of one up to twice as large: so batches of changing length share their memory. */
  #take(size: number, unusedSince: number): PooledBuffer | undefined {
    for (let candidate = size; candidate <= 2 * size; candidate = sizeClass(candidate + 1)) {
      const list = this.#free.get(candidate);
      const at = list?.findIndex((entry) => entry.lastUse < unusedSince) ?? -1;
      if (at >= 0) return list!.splice(at, 1)[0];
    }
    return undefined;
  }

  #create(size: number): PooledBuffer {
    const buffer = this.#device.createBuffer({
      size,
      usage: BufferUsage.STORAGE | BufferUsage.COPY_SRC | BufferUsage.COPY_DST,
    });
    this.#buffers++;
    this.#bytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    return { id: this.#nextId++, buffer, size, requested: size, lastUse: -1 };
  }
}
