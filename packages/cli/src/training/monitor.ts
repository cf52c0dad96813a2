import { cpus } from "node:os";
import type { Device, DeviceCounters } from "@wgrad/tensor";
import {
  type EpochRow,
  getReportingCallbacks,
  JsonLinesCallback,
  PrinterCallback,
  type TrainerCallback,
  type TrainingArguments,
  WandbCallback,
} from "@wgrad/trainer";
import type { Ui } from "../ui.js";

/** What a step costs. */
export interface StepCost {
  /** Median wall time. */
  seconds: number;
  /** Mean CPU time of the process, all threads: on a software driver the GPU's time. */
  cpuSeconds: number;
  /** Median. */
  dispatches: number;
  /** Median. */
  submissions: number;
  /** Made after the third step, in all. Batches of a new length make some; after that there are none. */
  buffersCreatedAfterThree: number;
  steps: number;
}

/** Follows a run: on the console, in the output folder's `log.jsonl`, and what a step costs. */
export class RunMonitor {
  /** For the trainer. */
  readonly callbacks: readonly TrainerCallback[];
  readonly #printer: PrinterCallback;
  readonly #cost: StepCostCallback;

  /**
   * @param reportTo what the trainer adds by itself; what W&B has to say then goes where the rest goes
   * @param remarks what is worth a first line of the log, such as kernels that are the user's own
   */
  constructor(
    ui: Ui,
    device: Device,
    reportTo: TrainingArguments["reportTo"],
    remarks: Readonly<Record<string, unknown>> = {},
  ) {
    this.#printer = new PrinterCallback(ui);
    this.#cost = new StepCostCallback(device);
    const wandb = getReportingCallbacks(reportTo).some((logger) => logger instanceof WandbCallback)
      ? [new WandbCallback({ say: (line) => ui.note(line) })]
      : [];
    this.callbacks = [this.#cost, this.#printer, new JsonLinesCallback({ remarks }), ...wandb];
  }

  /** The rows of the epoch table. */
  get epochs(): readonly EpochRow[] {
    return this.#printer.epochs;
  }

  /** Undefined before the second step. */
  get stepCost(): StepCost | undefined {
    return this.#cost.value;
  }
}

/** Measures what a step costs in time, CPU time and dispatches. */
class StepCostCallback implements TrainerCallback {
  readonly #device: Device;
  readonly #walls: number[] = [];
  readonly #dispatches: number[] = [];
  readonly #submissions: number[] = [];
  #cpu = 0;
  #buffersAtThree = 0;
  #buffers = 0;
  /** When the step in hand began; null after something that is no step: an evaluation, a checkpoint. */
  #began: { wall: number; cpu: NodeJS.CpuUsage } | null = null;
  #before: DeviceCounters | null = null;

  constructor(device: Device) {
    this.#device = device;
  }

  get value(): StepCost | undefined {
    const measured = this.#walls.length;
    if (measured === 0) return undefined;
    return {
      seconds: median(this.#walls),
      cpuSeconds: this.#cpu / measured,
      dispatches: median(this.#dispatches),
      submissions: median(this.#submissions),
      buffersCreatedAfterThree: Math.max(0, this.#buffers - this.#buffersAtThree),
      steps: this.#dispatches.length,
    };
  }

  onStepBegin(): void {
    // The queue runs ahead by a few steps, so a step costs what lies between two beginnings.
    const now = { wall: performance.now(), cpu: process.cpuUsage() };
    if (this.#began) {
      this.#walls.push((now.wall - this.#began.wall) / 1000);
      const { user, system } = process.cpuUsage(this.#began.cpu);
      this.#cpu += (user + system) / 1e6;
    }
    this.#began = now;
    this.#before = this.#device.snapshot();
  }

  onStepEnd(): void {
    const after = this.#device.snapshot();
    const before = this.#before!;
    this.#dispatches.push(after.dispatches - before.dispatches);
    this.#submissions.push(after.submissions - before.submissions);
    const made = after.buffersCreated - before.buffersCreated;
    this.#buffers += made;
    if (this.#dispatches.length <= 3) this.#buffersAtThree += made;
  }

  onEpochEnd(): void {
    this.#began = null;
  }

  onEvaluate(): void {
    this.#began = null;
  }

  onSave(): void {
    this.#began = null;
  }
}

/** What the machine was, for `metrics.json`. */
export function machine(device: Pick<Device, "description">): Record<string, unknown> {
  return {
    adapter: device.description,
    platform: `${process.platform}-${process.arch}`,
    cpus: cpus().length,
    node: process.versions.node,
  };
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
