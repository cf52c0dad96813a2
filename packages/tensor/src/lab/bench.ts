import { noGrad, scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { choose } from "../kernels/ladder.js";
import { refusal } from "./check.js";
import type { LabEntry, Workload } from "./entry.js";
import { type Peaks, type Rate, rateOf, shareOf } from "./peaks.js";
import { type CpuTime, type Sample, type Spread, Stopwatch, spreadOf } from "./stopwatch.js";

/** One step on one shape, measured. */
export interface BenchRow {
  readonly op: string;
  readonly shape: string;
  /** Name of the step, or of the user's file. */
  readonly step: string;
  /** True for the step that this shape gets without a word from the user. */
  readonly chosen: boolean;
  /** Why it is chosen; why not it, where `skipped`. */
  readonly why: string;
  /** True if the device cannot run it, or it does not take the shape: nothing was measured. */
  readonly skipped: boolean;
  /** Seconds of a call, by the clock that `timing` names. */
  readonly seconds: Spread;
  /** Seconds of the processor of a call, all threads; null without a `cpuTime`. */
  readonly cpuSeconds: Spread | null;
  readonly samples: number;
  /** Calls in a sample. */
  readonly calls: number;
  /** Floating-point operations a second; null where the workload counts bytes alone. */
  readonly flop: Rate | null;
  readonly bytes: Rate;
  /** Shares of the peaks of this run, 0 to 1; null where there is none to compare with. */
  readonly shareOfArithmetic: number | null;
  readonly shareOfCopy: number | null;
  readonly timing: "timestamps" | "submissions";
}

/** What to measure. */
export interface BenchOptions {
  /** Names of steps; default all of the ladder. A user's kernel in `device.ownKernels` is measured too. */
  readonly steps?: readonly string[];
  /** Shape texts; default the entry's bench shapes. */
  readonly shapes?: readonly string[];
  /** Peaks of the same run; without them there are no shares. */
  readonly peaks?: Peaks;
  readonly cpuTime?: CpuTime;
  /** Time for one step on one shape; default 0.5. At least one sample is taken, however long it lasts. */
  readonly seconds?: number;
  readonly onRow?: (row: BenchRow) => void;
  /** Called between measurements; true ends them. */
  readonly stop?: () => boolean;
}

/** A step that can be measured for a shape: how to have it chosen. */
export interface Candidate {
  readonly name: string;
  readonly own: boolean;
  /** Null, or why the device or the step refuses. */
  readonly refused: string | null;
}

/** Every step of a ladder for one shape, and the user's own kernel first if there is one. */
export function candidates(
  device: Device,
  entry: LabEntry,
  workload: Pick<Workload, "shape" | "problem">,
): Candidate[] {
  const { ladder } = entry;
  const found: Candidate[] = ladder.steps.map((step) => ({
    name: step.name,
    own: false,
    refused: refusal(device, step, workload),
  }));
  const mine = device.ownKernels.get(ladder.op);
  if (mine) {
    found.unshift({ name: mine.name, own: true, refused: refusal(device, ladder.own(mine), workload) });
  }
  return found;
}

/** Runs `body` with one step of a ladder chosen, and puts back what was set before. */
export async function withStep<T>(
  device: Device,
  op: string,
  candidate: Pick<Candidate, "name" | "own">,
  body: () => Promise<T>,
): Promise<T> {
  const mine = device.ownKernels.get(op);
  const before = device.variants.get(op);
  if (!candidate.own) {
    device.ownKernels.delete(op);
    device.variants.set(op, candidate.name);
  }
  try {
    return await body();
  } finally {
    if (mine) device.ownKernels.set(op, mine);
    if (before === undefined) device.variants.delete(op);
    else device.variants.set(op, before);
  }
}

/** Measures steps of a ladder. Their samples are taken in turn, so that all of them meet the same disturbances. */
export async function benchEntry(
  device: Device,
  entry: LabEntry,
  options: BenchOptions = {},
): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const stopwatch = new Stopwatch(device, options.cpuTime ?? null);
  try {
    for (const shape of options.shapes ?? entry.benchShapes) {
      if (options.stop?.()) break;
      for (const row of await benchShape(device, entry, shape, stopwatch, options)) {
        rows.push(row);
        options.onRow?.(row);
      }
    }
  } finally {
    stopwatch.dispose();
  }
  return rows;
}

/** Time of a sample; long enough for a clock that ticks every 100 microseconds. */
const SAMPLE_SECONDS = { software: 0.05, gpu: 0.01 };

async function benchShape(
  device: Device,
  entry: LabEntry,
  shape: string,
  stopwatch: Stopwatch,
  options: BenchOptions,
): Promise<BenchRow[]> {
  const workload = entry.workload(shape);
  const { op } = entry.ladder;
  const choice = choose(device, entry.ladder, workload.problem);
  const all = candidates(device, entry, workload).filter(
    ({ name, own }) => own || !options.steps || options.steps.includes(name),
  );
  const able = all.filter(({ refused }) => refused === null);
  const prepared = workload.prepare(device);
  const measured = new Map<Candidate, Measured>();
  try {
    const body = () => void noGrad(() => scope(() => void prepared.run()));
    for (const candidate of able) {
      measured.set(candidate, await begin(device, op, candidate, body, stopwatch, options.seconds ?? 0.5));
    }
    for (let round = 0; round < 25; round++) {
      for (const one of measured.values()) await one.sample();
    }
  } finally {
    prepared.dispose();
  }
  const chosenName = device.ownKernels.has(op) && choice.why === "your kernel" ? null : choice.step.name;
  return all.map((candidate) => {
    const chosen = candidate.own ? chosenName === null : candidate.name === chosenName;
    const why = candidate.refused ?? (chosen ? choice.why : "");
    const one = measured.get(candidate);
    return makeRow(entry, workload, candidate, one?.samples ?? [], one?.calls ?? 0, {
      chosen,
      why,
      stopwatch,
      peaks: options.peaks,
    });
  });
}

/** A step under measurement. */
export interface Measured {
  readonly samples: readonly Sample[];
  readonly calls: number;
  /** True if the first call, which compiles too, was so slow that no other was made. */
  readonly hopeless: boolean;
  /** Takes one more sample, if there is time left for it. */
  sample(): Promise<void>;
}

/**
 * Compiles a step, times one call and plans samples for it within `budget` seconds.
 * @param limit seconds of a first call, compilation included, beyond which it is given up
 */
export async function begin(
  device: Device,
  op: string,
  candidate: Candidate,
  body: () => void,
  stopwatch: Stopwatch,
  budget: number,
  limit?: number,
): Promise<Measured> {
  const wanted = stopwatch.software ? SAMPLE_SECONDS.software : SAMPLE_SECONDS.gpu;
  const { calls, sample, hopeless } = await withStep(device, op, candidate, () =>
    stopwatch.probe(body, Math.min(budget / 4, wanted), limit),
  );
  // A call that is as long as a sample is one.
  const samples = calls === 1 ? [sample] : [];
  let spent = stopwatch.cost(sample);
  return {
    samples,
    calls,
    hopeless,
    async sample() {
      if (hopeless || (spent >= budget && samples.length > 0)) return;
      const next = await withStep(device, op, candidate, () => stopwatch.time(body, calls));
      samples.push(next);
      spent += stopwatch.cost(next) * calls;
    },
  };
}

function makeRow(
  entry: LabEntry,
  workload: Workload,
  candidate: Candidate,
  taken: readonly Sample[],
  calls: number,
  given: { chosen: boolean; why: string; stopwatch: Stopwatch; peaks: Peaks | undefined },
): BenchRow {
  const { stopwatch, peaks } = given;
  const cpu = taken.map((sample) => sample.cpuSeconds).filter((value) => value !== null);
  const seconds = spreadOf(taken.map((sample) => sample.seconds));
  const cpuSeconds = cpu.length > 0 ? spreadOf(cpu) : null;
  const middle: Sample = { seconds: seconds.median, cpuSeconds: cpuSeconds?.median ?? null };
  const flop = workload.flop > 0 ? rateOf(middle, workload.flop, stopwatch) : null;
  const bytes = rateOf(middle, workload.bytes, stopwatch);
  const peak = peaks && (/\bf16\b/.test(workload.shape) ? peaks.f16 : peaks.f32);
  return {
    op: entry.ladder.op,
    shape: workload.shape,
    step: candidate.name,
    chosen: given.chosen,
    why: given.why,
    skipped: taken.length === 0,
    seconds,
    cpuSeconds,
    samples: taken.length,
    calls,
    flop,
    bytes,
    shareOfArithmetic: flop && peak && taken.length > 0 ? shareOf(flop, peak) : null,
    shareOfCopy: peaks && taken.length > 0 ? shareOf(bytes, peaks.copy) : null,
    timing: stopwatch.timing,
  };
}
