import type { PassTimer } from "../device/commands.js";
import { BufferUsage } from "../device/constants.js";
import type { Device } from "../device/device.js";

/** Seconds of processor time of the whole process so far, all threads: on a software adapter that holds the GPU's work. */
export type CpuTime = () => number;

/** What one sample took, for one call. */
export interface Sample {
  readonly seconds: number;
  /** Null without a `cpuTime`. */
  readonly cpuSeconds: number | null;
}

/** Middle half of some samples. */
export interface Spread {
  readonly median: number;
  /** First and third quartile. */
  readonly low: number;
  readonly high: number;
}

/** @throws nothing; NaN for no values */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
    return low + (high - low) * (place - Math.floor(place));
  };
  if (sorted.length === 0) return { median: Number.NaN, low: Number.NaN, high: Number.NaN };
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

/** `GPUBufferUsage.QUERY_RESOLVE` */
const QUERY_RESOLVE = 0x200;

/** Largest number of dispatches that are surely in one submission. */
const MAX_CALLS = 400;

/**
 * Times work on a device: by timestamps at both ends of one command buffer where there are timestamp queries, so that the host
 * has no part in it, else from the submission to its end. On a GPU the same work runs once before, unmeasured, so that its
 * clocks have risen.
 */
export class Stopwatch {
  /** How times are taken. */
  readonly timing: "timestamps" | "submissions";
  /** True where the processor does the GPU's work, and its time is what counts. */
  readonly software: boolean;
  readonly #device: Device;
  readonly #cpuTime: CpuTime | null;
  readonly #queries: GPUQuerySet | null;
  readonly #ticks: GPUBuffer | null;

  constructor(device: Device, cpuTime: CpuTime | null = null) {
    this.#device = device;
    this.#cpuTime = cpuTime;
    this.software = device.info.isFallbackAdapter;
    const able = device.features.has("timestamp-query");
    this.timing = able ? "timestamps" : "submissions";
    this.#queries = able ? device.gpu.createQuerySet({ type: "timestamp", count: 2 }) : null;
    this.#ticks = able
      ? device.gpu.createBuffer({ size: 16, usage: QUERY_RESOLVE | BufferUsage.COPY_SRC })
      : null;
  }

  /** The share of a sample by which calls are judged: processor time on a software adapter if it is known, else wall time. */
  cost(sample: Sample): number {
    return this.software && sample.cpuSeconds !== null ? sample.cpuSeconds : sample.seconds;
  }

  /**
   * Seconds of one of `calls` calls of `body`, which enqueues work.
   * @param warm runs the calls once more before, unmeasured; default on a GPU only
   */
  async time(body: () => void, calls: number, warm = !this.software): Promise<Sample> {
    const device = this.#device;
    const many = Math.min(calls, MAX_CALLS);
    const enqueue = () => {
      for (let i = 0; i < many; i++) body();
    };
    device.submit();
    if (warm) {
      enqueue();
      device.submit();
    }
    await device.synchronize();
    const before = device.timer;
    device.timer = this.#bracket();
    let [wall, cpu] = [0, 0];
    try {
      enqueue();
      [wall, cpu] = [performance.now(), this.#cpuTime?.() ?? 0];
      device.submit();
    } finally {
      device.timer = before;
    }
    await device.synchronize();
    const whole = (performance.now() - wall) / 1000;
    const cpuSeconds = this.#cpuTime ? (this.#cpuTime() - cpu) / many : null;
    const measured = await this.#between();
    // A clock that stands still or runs backwards is worse than none.
    return { seconds: (measured !== null && measured > 0 ? measured : whole) / many, cpuSeconds };
  }

  /**
   * How many calls of `body` make a sample of about `seconds`, from one call that is timed here. The call before it compiles
   * what is to be compiled; if that alone takes more than `hopeless` seconds, it is the sample.
   */
  async probe(
    body: () => void,
    seconds: number,
    hopeless = Number.POSITIVE_INFINITY,
  ): Promise<{ calls: number; sample: Sample; hopeless: boolean }> {
    const first = await this.time(body, 1, false);
    if (this.cost(first) > hopeless) return { calls: 1, sample: first, hopeless: true };
    const sample = await this.time(body, 1, false);
    const calls = Math.round(seconds / Math.max(this.cost(sample), 1e-7));
    return { calls: Math.min(MAX_CALLS, Math.max(1, calls)), sample, hopeless: false };
  }

  dispose(): void {
    this.#queries?.destroy();
    this.#ticks?.destroy();
  }

  /** Puts a timestamp before the first dispatch and after the last; null without timestamp queries. */
  #bracket(): PassTimer | null {
    const querySet = this.#queries;
    if (!querySet) return null;
    let begun = false;
    // At the end of an empty pass, because the beginning of one need not wait for what came before.
    const tick = (encoder: GPUCommandEncoder, endOfPassWriteIndex: number) =>
      encoder.beginComputePass({ timestampWrites: { querySet, endOfPassWriteIndex } }).end();
    return {
      beginPass(encoder) {
        if (!begun) tick(encoder, 0);
        begun = true;
        return encoder.beginComputePass();
      },
      finish: (encoder) => tick(encoder, 1),
    };
  }

  async #between(): Promise<number | null> {
    if (!this.#queries || !this.#ticks) return null;
    const device = this.#device;
    const buffer = device.pool.acquire(16);
    const encoder = device.gpu.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#ticks, 0);
    encoder.copyBufferToBuffer(this.#ticks, 0, buffer.buffer, 0, 16);
    device.gpu.queue.submit([encoder.finish()]);
    const [begin, end] = new BigUint64Array(await device.read(buffer, 0, 16));
    device.pool.release(buffer);
    return Number(end! - begin!) / 1e9;
  }
}
