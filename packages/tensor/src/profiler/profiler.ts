import type { Device, DeviceCounters } from "../device/device.js";
import type { Module } from "../nn/module.js";
import { type TimedDispatch, TimestampTimer } from "./pass-timer.js";
import type { DispatchSample, Peaks, Phase, Profile, StepCost, StepSample } from "./profile.js";
import { shapeText } from "./shape.js";

/** Options of `Profiler`. */
export interface ProfilerOptions {
  /** What is run, one line. */
  readonly title?: string;
  /** The model whose modules' names the profile is broken down by. */
  readonly model?: Module;
  /** What the adapter can do at best: see `measurePeaks` in `@wgrad/tensor/lab`. */
  readonly peaks?: Peaks | null;
  /** Seconds of processor time of the whole process so far: counted beside, where it is given. */
  readonly cpuTime?: () => number;
}

/** A step in hand. */
interface Running {
  readonly timed: boolean;
  readonly before: DeviceCounters;
  readonly began: number;
  readonly cpuBegan: number | null;
  submitted: number | null;
}

/**
 * Measures steps of a training loop dispatch by dispatch, by timestamp queries. Each dispatch gets a compute pass of its own
 * for that, so a profiled step is slower than others: measure some without (`timed: false`) beside.
 *
 *     const profiler = new Profiler(device, { model });
 *     for (let i = 0; i < 3; i++) await profiler.step(trainStep, { timed: false });
 *     for (let i = 0; i < 3; i++) await profiler.step(trainStep);
 *     const { children } = flameTree(profiler.profile());
 *
 * A loop that is somebody else's, such as the trainer's, is measured by `begin` and `end` around each step.
 */
export class Profiler {
  readonly #device: Device;
  readonly #options: ProfilerOptions;
  readonly #timer: TimestampTimer;
  readonly #steps: StepSample[] = [];
  readonly #unprofiled: StepCost[] = [];
  #running: Running | null = null;

  constructor(device: Device, options: ProfilerOptions = {}) {
    this.#device = device;
    this.#options = options;
    this.#timer = new TimestampTimer(device);
  }

  /**
   * Measures one step.
   * @param body enqueues the work; it may await, but what it waits for counts as host time
   * @param options.timed false for a step without timestamps, which only counts as a whole; default true
   */
  async step(body: () => unknown, options: { timed?: boolean } = {}): Promise<void> {
    await this.begin(options);
    try {
      await body();
      this.submitted();
    } catch (error) {
      this.#device.timer = null;
      this.#running = null;
      throw error;
    }
    await this.end();
  }

  /** Waits for what was enqueued before, and begins a step. */
  async begin(options: { timed?: boolean } = {}): Promise<void> {
    const device = this.#device;
    const timed = options.timed ?? true;
    await device.synchronize();
    device.pool.resetPeak();
    device.timer = timed ? this.#timer : null;
    this.#running = {
      timed,
      before: device.snapshot(),
      cpuBegan: this.#options.cpuTime?.() ?? null,
      began: performance.now(),
      submitted: null,
    };
  }

  /** Submits what is enqueued and says that the host is done with the step. `end` does it if it was not called. */
  submitted(): void {
    this.#device.submit();
    if (this.#running) this.#running.submitted ??= performance.now();
  }

  /** Waits for the GPU and ends the step. */
  async end(): Promise<void> {
    const device = this.#device;
    const running = this.#running;
    if (!running) return;
    this.submitted();
    await device.synchronize();
    const cost = {
      seconds: (performance.now() - running.began) / 1000,
      hostSeconds: (running.submitted! - running.began) / 1000,
      cpuSeconds: running.cpuBegan === null ? null : this.#options.cpuTime!() - running.cpuBegan,
    };
    device.timer = null;
    this.#running = null;
    if (!running.timed) {
      this.#unprofiled.push(cost);
      return;
    }
    const after = device.snapshot();
    const made = (counter: keyof DeviceCounters) => after[counter] - running.before[counter];
    this.#steps.push({
      ...cost,
      dispatches: this.#describe(await this.#timer.take()),
      submissions: made("submissions"),
      buffersCreated: made("buffersCreated"),
      bindGroupsCreated: made("bindGroupsCreated"),
      pipelinesCreated: made("pipelinesCreated"),
      peakLiveBytes: device.memory().peakLiveBytes,
    });
  }

  /** What was measured so far. */
  profile(): Profile {
    const { title, peaks } = this.#options;
    return {
      title: title ?? "a step",
      adapter: this.#device.description,
      timing: this.#device.features.has("timestamp-query") ? "dispatch" : "submission",
      steps: [...this.#steps],
      unprofiled: [...this.#unprofiled],
      peaks: peaks ?? null,
    };
  }

  #describe(timed: readonly TimedDispatch[]): DispatchSample[] {
    const names = new Map<object, string>();
    for (const [name, module] of this.#options.model?.namedModules() ?? []) names.set(module, name);
    const first = timed.find(({ begin }) => begin !== null)?.begin ?? 0n;
    return timed.map(({ dispatch, begin, end }) => {
      const { kernel, place, cost } = dispatch;
      const module = place.module === null ? null : (names.get(place.module) ?? null);
      return {
        kernel: kernel.name,
        op: place.op || kernel.name.split("/")[0]!,
        module,
        phase: phaseOf(place.phase, module, names.size > 0),
        shape: shapeText(dispatch),
        flop: cost.flop,
        bytes: cost.bytes,
        begin: begin === null ? 0 : Number(begin - first),
        duration: begin === null || end === null ? 0 : Number(end - begin),
      };
    });
  }
}

/** Before and after the model's own forward there are uploads and sums of losses, which are no part of a pass. */
function phaseOf(phase: Exclude<Phase, "other">, module: string | null, hasModel: boolean): Phase {
  return phase === "forward" && module === null && hasModel ? "other" : phase;
}
