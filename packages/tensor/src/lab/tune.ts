import { noGrad, scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { ValueError } from "../errors.js";
import { begin, type Candidate, candidates, type Measured } from "./bench.js";
import type { LabEntry, Workload } from "./entry.js";
import { type CpuTime, Stopwatch, spreadOf } from "./stopwatch.js";

/** What tells one adapter and driver from another: WebGPU's own four texts. */
export interface AdapterKey {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  /** Names the driver and its version, where the implementation tells them. */
  readonly description: string;
}

/** The measured choice for one shape class. */
export interface TunedChoice {
  readonly op: string;
  /** As the ladder's `shapeClass` names it. */
  readonly shapeClass: string;
  /** The shape that was measured for it. */
  readonly shape: string;
  readonly step: string;
  /**
   * Seconds of a call of each step that was measured, the lower quartile of its samples; processor seconds on a software adapter
   * if they were known.
   */
  readonly seconds: Readonly<Record<string, number>>;
}

/** What `tune` found, as the cache file holds it. */
export interface Tuning {
  readonly version: 1;
  readonly adapter: AdapterKey;
  /** ISO date. */
  readonly made: string;
  readonly choices: readonly TunedChoice[];
}

/** How to tune. */
export interface TuneOptions {
  /** Names of ops; default every entry's. */
  readonly ops?: readonly string[];
  /** Time for all of it; default 120. What is under way when it is over is ended, what was not begun is left out. */
  readonly seconds?: number;
  readonly cpuTime?: CpuTime;
  readonly onProgress?: (done: number, total: number, what: string) => void;
  readonly onChoice?: (choice: TunedChoice) => void;
  /** True ends it early; what was found so far is returned. */
  readonly stop?: () => boolean;
}

/** The adapter of a device, as the cache knows it. */
export function adapterKey({ info }: Device): AdapterKey {
  const { vendor, architecture, device, description } = info;
  return { vendor, architecture, device, description };
}

/** A file name for an adapter's cache: lower-case words and numbers. */
export function adapterSlug(key: AdapterKey): string {
  const text = [key.vendor, key.architecture, key.device, key.description].join("-").toLowerCase();
  return text.replace(/[^a-z0-9.]+/g, "-").replace(/^-|-$/g, "") || "unknown-adapter";
}

interface Job {
  readonly entry: LabEntry;
  readonly workload: Workload;
  readonly shapeClass: string;
}

/**
 * Measures every step that can run on each shape class of the bench shapes and returns the fastest. Steps that turn out more
 * than half slower than the best are dropped after one call, the rest are measured in turn.
 */
export async function tune(
  device: Device,
  entries: readonly LabEntry[],
  options: TuneOptions = {},
): Promise<Tuning> {
  const jobs = planJobs(entries, options.ops);
  const budget = options.seconds ?? 120;
  const began = performance.now();
  const left = () => budget - (performance.now() - began) / 1000;
  const choices: TunedChoice[] = [];
  const stopwatch = new Stopwatch(device, options.cpuTime ?? null);
  try {
    for (const [i, job] of jobs.entries()) {
      const what = `${job.entry.ladder.op} ${job.workload.shape}`;
      options.onProgress?.(i, jobs.length, what);
      if (left() <= 0 || options.stop?.()) break;
      // What earlier shapes did not use is there for the later ones.
      const share = Math.min(left(), (2 * left()) / (jobs.length - i));
      const choice = await tuneShape(device, job, stopwatch, share);
      if (!choice) continue;
      choices.push(choice);
      options.onChoice?.(choice);
    }
  } finally {
    stopwatch.dispose();
  }
  options.onProgress?.(jobs.length, jobs.length, "");
  return { version: 1, adapter: adapterKey(device), made: new Date().toISOString(), choices };
}

/** The first bench shape of each class. */
function planJobs(entries: readonly LabEntry[], ops: readonly string[] | undefined): Job[] {
  const jobs = new Map<string, Job>();
  for (const entry of entries) {
    if (ops && !ops.includes(entry.ladder.op)) continue;
    for (const shape of entry.benchShapes) {
      const workload = entry.workload(shape);
      const shapeClass = entry.ladder.shapeClass(workload.problem);
      const key = `${entry.ladder.op} ${shapeClass}`;
      if (!jobs.has(key)) jobs.set(key, { entry, workload, shapeClass });
    }
  }
  return [...jobs.values()];
}

/** A step whose first call is this much slower than the best is out. */
const OUT = 1.5;
/** Seconds that compiling a step may take, and how many times slower than the best a first call may be besides. */
const COMPILATION = 2;
const HOPELESS = 4;
/** The rule's step is kept if it is that close to the best: a choice should not change with the weather. */
const AS_GOOD = 1.02;
const LEAST_SAMPLES = 3;
const MOST_SAMPLES = 9;

async function tuneShape(
  device: Device,
  { entry, workload, shapeClass }: Job,
  stopwatch: Stopwatch,
  seconds: number,
): Promise<TunedChoice | null> {
  const { op } = entry.ladder;
  const deadline = performance.now() + seconds * 1000;
  const able = candidates(device, entry, workload).filter(({ own, refused }) => !own && refused === null);
  if (able.length === 0) return null;
  const usual = entry.ladder.rule(device, workload.problem).step;
  const measured = new Map<Candidate, Measured>();
  const cost = (one: Measured) => spreadOf(one.samples.map((sample) => stopwatch.cost(sample))).low;
  const best = () => Math.min(...[...measured.values()].map(cost));
  const prepared = workload.prepare(device);
  try {
    const body = () => void noGrad(() => scope(() => void prepared.run()));
    // The rule's step first, so that the choice is never worse than it; then from the top of the ladder, where the fastest is
    // likely to stand: when time runs out the plain steps are left out.
    const usually = able.filter(({ name }) => name === usual);
    for (const candidate of [...usually, ...able.filter(({ name }) => name !== usual).reverse()]) {
      if (measured.size > 0 && performance.now() > deadline) break;
      const limit = measured.size > 0 ? COMPILATION + HOPELESS * best() : undefined;
      const one = await begin(device, op, candidate, body, stopwatch, Number.POSITIVE_INFINITY, limit);
      if (one.samples.length === 0) await one.sample();
      measured.set(candidate, one);
    }
    for (let round = 1; round < MOST_SAMPLES; round++) {
      const limit = OUT * best();
      const close = [...measured.values()].filter((one) => cost(one) <= limit);
      if (close.length === 1) break;
      for (const one of close) {
        if (performance.now() > deadline && round >= LEAST_SAMPLES) break;
        await one.sample();
      }
    }
  } finally {
    prepared.dispose();
  }
  const costs = Object.fromEntries([...measured].map(([{ name }, one]) => [name, cost(one)]));
  const fastest = Object.keys(costs).reduce((a, b) => (costs[b]! < costs[a]! ? b : a));
  const step = costs[usual]! <= AS_GOOD * costs[fastest]! ? usual : fastest;
  return { op, shapeClass, shape: workload.shape, step, seconds: costs };
}

/**
 * Lets the choices of a tuning stand in for the ladders' rules: fills `device.tuned`.
 * @param json what `tune` returned, also after `JSON.parse`
 * @returns the number of choices
 * @throws ValueError if it is no tuning, or another adapter's or driver's
 */
export function loadTuning(device: Device, json: unknown): number {
  const tuning = json as Partial<Tuning> | null;
  if (tuning?.version !== 1 || !Array.isArray(tuning.choices) || !tuning.adapter) {
    throw new ValueError("this is no tuning of version 1. Make one with `wgrad kernels tune`.");
  }
  const own = adapterKey(device);
  for (const name of ["vendor", "architecture", "device", "description"] as const) {
    if (tuning.adapter[name] !== own[name]) {
      throw new ValueError(
        `the tuning is of another adapter or driver: its ${name} is "${tuning.adapter[name]}", this one's "${own[name]}". ` +
          "Make one here with `wgrad kernels tune`.",
      );
    }
  }
  for (const { op, shapeClass, step } of tuning.choices) device.tuned.set(`${op} ${shapeClass}`, step);
  return tuning.choices.length;
}
