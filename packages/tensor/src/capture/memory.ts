import type { Device } from "../device/device.js";
import type { PooledBuffer } from "../device/pool.js";
import { Storage } from "../storage.js";
import type { Tensor } from "../tensor.js";
import type { Temporary } from "./recorder.js";

/** A buffer that the plans of one captured step share, since only one of them runs at a time. */
interface Shared {
  readonly buffer: PooledBuffer;
  /** First and last command of each use, in the plan that is being made. */
  readonly uses: (readonly [number, number])[];
}

/** The memory of all plans of one captured step. */
export class PlanMemory {
  readonly #device: Device;
  readonly #shared: PooledBuffer[] = [];
  readonly #own: PooledBuffer[] = [];
  readonly #gradients = new Map<Tensor, Storage>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Bytes of all buffers. */
  get bytes(): number {
    return [...this.#shared, ...this.#own].reduce((sum, buffer) => sum + buffer.size, 0);
  }

  /**
   * Places temporaries by their lifetimes, the largest first, each into the smallest buffer that is free from its first use to
   * its last. Source: greedy by size, Pisarchyk & Lee, "Efficient memory management for deep neural net inference", 2020.
   */
  place(temporaries: readonly Temporary[]): Map<Temporary, PooledBuffer> {
    const places = new Map<Temporary, PooledBuffer>();
    const slots: Shared[] = this.#shared.map((buffer) => ({ buffer, uses: [] }));
    for (const temporary of [...temporaries].sort((a, b) => b.bytes - a.bytes)) {
      const { first, last, bytes } = temporary;
      let best: Shared | null = null;
      for (const slot of slots) {
        if (slot.buffer.size < bytes || (best && best.buffer.size <= slot.buffer.size)) continue;
        if (slot.uses.every(([from, to]) => last < from || to < first)) best = slot;
      }
      if (!best) {
        best = { buffer: this.#device.pool.acquire(bytes), uses: [] };
        slots.push(best);
        this.#shared.push(best.buffer);
      }
      best.uses.push([first, last]);
      places.set(temporary, best.buffer);
    }
    return places;
  }

  /** A buffer that nothing else uses. */
  reserve(bytes: number): PooledBuffer {
    const buffer = this.#device.pool.acquire(bytes);
    this.#own.push(buffer);
    return buffer;
  }

  /** Memory that tensors of the caller's may share and that never goes back to the pool through them. */
  storage(bytes: number): Storage {
    const storage = new Storage(this.#device, this.reserve(bytes));
    storage.retain();
    return storage;
  }

  /** Where a leaf's gradient lies between two steps: the same for all plans. */
  gradient(leaf: Tensor, bytes: number): Storage {
    const storage = this.#gradients.get(leaf) ?? this.storage(bytes);
    this.#gradients.set(leaf, storage);
    return storage;
  }

  dispose(): void {
    for (const buffer of [...this.#shared, ...this.#own]) this.#device.pool.release(buffer);
    this.#shared.length = 0;
    this.#own.length = 0;
    this.#gradients.clear();
  }
}
