import type { Device } from "../device/device.js";
import { f32, type Kernel, type Specialisation } from "../device/kernel.js";
import type { PooledBuffer } from "../device/pool.js";
import copySource from "./copy.wgsl";
import fmaSource from "./fma.wgsl";
import { type CpuTime, type Sample, Stopwatch } from "./stopwatch.js";

/** A rate that was reached, in units a second. */
export interface Rate {
  /** A second of time. */
  readonly perSecond: number;
  /** A second of the processor, all threads: only on software adapters, where a `cpuTime` was given. */
  readonly perCpuSecond: number | null;
}

/** What an adapter can do at most, as measured. */
export interface Peaks {
  /** Floating-point operations; a multiply-add is two. */
  readonly f32: Rate;
  /** Null where the adapter has no f16. */
  readonly f16: Rate | null;
  /** Bytes read and bytes written, added up, of a copy of 32 MiB. */
  readonly copy: Rate;
  readonly timing: "timestamps" | "submissions";
}

/** Options of `measurePeaks`. */
export interface PeakOptions {
  readonly cpuTime?: CpuTime;
  /** Time of one sample; default 0.03, and each peak takes some 6 samples for each of two or three forms of its kernel. */
  readonly sampleSeconds?: number;
}

const COPY_BYTES = 2 ** 25;
const INVOCATIONS = 64;
/** 16 multiply-adds a round. */
const FLOP_PER_ROUND = 32;

/** Forms of the chains: number of lanes of the type V. Which is fastest differs: llvmpipe wants scalars, NVIDIA pairs of f16. */
const FORMS = { f32: [1, 4], f16: [1, 2, 4] } as const;

/**
 * Measures the arithmetic peak by chains of multiply-adds and the bandwidth of a copy. The best of some samples counts: a peak is
 * what is possible.
 */
export async function measurePeaks(device: Device, options: PeakOptions = {}): Promise<Peaks> {
  const stopwatch = new Stopwatch(device, options.cpuTime ?? null);
  const seconds = options.sampleSeconds ?? 0.03;
  try {
    const single = await arithmetic(device, stopwatch, "f32", seconds);
    const half = device.features.has("shader-f16")
      ? await arithmetic(device, stopwatch, "f16", seconds)
      : null;
    const copy = await copyRate(device, stopwatch, seconds);
    return { f32: single, f16: half, copy, timing: stopwatch.timing };
  } finally {
    stopwatch.dispose();
  }
}

async function arithmetic(
  device: Device,
  stopwatch: Stopwatch,
  dtype: "f32" | "f16",
  seconds: number,
): Promise<Rate> {
  const y = device.pool.acquire(256);
  let best: Rate = { perSecond: 0, perCpuSecond: null };
  try {
    for (const lanes of FORMS[dtype]) {
      const groups = stopwatch.software ? 64 : 16384;
      const dispatch = (rounds: number) => () => chain(device, y, dtype, lanes, groups, rounds);
      // Rounds that fill a sample, from a short one; the first compiles.
      await stopwatch.time(dispatch(8), 1, false);
      let rounds = 256;
      for (;;) {
        const took = stopwatch.cost(await stopwatch.time(dispatch(rounds), 1));
        if (took >= seconds / 2 || rounds >= 2 ** 22) break;
        rounds = Math.min(
          2 ** 22,
          Math.ceil(rounds * Math.min(16, Math.max(2, seconds / Math.max(took, 1e-6)))),
        );
      }
      const flop = rounds * FLOP_PER_ROUND * lanes * groups * INVOCATIONS;
      best = better(best, rateOf(await fastest(stopwatch, dispatch(rounds), 1), flop, stopwatch));
    }
  } finally {
    device.pool.release(y);
  }
  return best;
}

function chain(
  device: Device,
  y: PooledBuffer,
  dtype: "f32" | "f16",
  lanes: number,
  groups: number,
  rounds: number,
): void {
  const type = lanes === 1 ? "T" : `vec${lanes}<T>`;
  const same = lanes === 1 ? "x == value" : `all(x == V(value))`;
  const kernel: Kernel = { name: "lab/fma", source: fmaSource };
  const specialisation: Specialisation = {
    types: { T: dtype },
    text: `alias V = ${type};\nfn all_equal(x: V, value: T) -> bool { return ${same}; }`,
  };
  // Factor and addend keep the values near 1 for ever.
  device.run(kernel, {
    buffers: [y],
    params: [rounds, f32(0.5), f32(0.5)],
    grid: [groups, 1, 1],
    specialisation,
  });
}

async function copyRate(device: Device, stopwatch: Stopwatch, seconds: number): Promise<Rate> {
  const x = device.pool.acquire(COPY_BYTES);
  const y = device.pool.acquire(COPY_BYTES);
  const quads = COPY_BYTES / 16;
  let best: Rate = { perSecond: 0, perCpuSecond: null };
  try {
    device.clear(x, COPY_BYTES);
    // Few invocations with many words each, and one word each.
    for (const groups of [256, 4096, quads / INVOCATIONS]) {
      const body = () =>
        device.run(
          { name: "lab/copy", source: copySource },
          { buffers: [x, y], params: [quads, groups * INVOCATIONS], grid: [groups, 1, 1] },
        );
      const { calls } = await stopwatch.probe(body, seconds);
      best = better(best, rateOf(await fastest(stopwatch, body, calls), 2 * COPY_BYTES, stopwatch));
    }
  } finally {
    device.pool.release(x);
    device.pool.release(y);
  }
  return best;
}

async function fastest(stopwatch: Stopwatch, body: () => void, calls: number): Promise<Sample> {
  let best: Sample | null = null;
  for (let i = 0; i < 5; i++) {
    const sample = await stopwatch.time(body, calls);
    if (!best || stopwatch.cost(sample) < stopwatch.cost(best)) best = sample;
  }
  return best!;
}

/** Units a second, and a second of the processor where that is what the adapter works with. */
export function rateOf(sample: Sample, units: number, stopwatch: { readonly software: boolean }): Rate {
  return {
    perSecond: units / sample.seconds,
    perCpuSecond: stopwatch.software && sample.cpuSeconds !== null ? units / sample.cpuSeconds : null,
  };
}

function better(a: Rate, b: Rate): Rate {
  return (b.perCpuSecond ?? b.perSecond) > (a.perCpuSecond ?? a.perSecond) ? b : a;
}

/** The share of a peak that a rate is: by processor time where both have it. */
export function shareOf(rate: Rate, peak: Rate): number {
  return rate.perCpuSecond !== null && peak.perCpuSecond !== null
    ? rate.perCpuSecond / peak.perCpuSecond
    : rate.perSecond / peak.perSecond;
}
