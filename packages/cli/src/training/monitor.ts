import { appendFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "@wgrad/models/node";
import type { Device, DeviceCounters } from "@wgrad/tensor";
import type { CallbackContext, LogEntry, TrainerCallback, TrainerState } from "@wgrad/trainer";
import { formatRow } from "../text/table.js";
import { formatSeconds, type Progress, type Ui } from "../ui.js";

/** One line of the epoch table. */
export interface EpochRow {
  epoch: number;
  /** Mean over the epoch's steps. */
  trainLoss: number;
  evalLoss?: number;
  accuracy?: number;
  precision?: number;
  recall?: number;
  f1?: number;
  /** Training and evaluation of this epoch. */
  seconds: number;
}

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

const COLUMNS = ["epoch", "train loss", "val loss", "accuracy", "precision", "recall", "F1", "time"] as const;
const WIDTHS = [6, 10, 9, 9, 9, 9, 9, 8];

/**
 * Follows a run: a bar or lines of progress on stderr, the epoch table on stdout, `log.jsonl` in the output folder, and what
 * a step costs.
 */
export class RunMonitor implements TrainerCallback {
  readonly epochs: EpochRow[] = [];
  readonly #ui: Ui;
  readonly #device: Device;
  /** Null where nothing is to be written. */
  readonly #logFile: string | null;
  readonly #head: string;
  readonly #walls: number[] = [];
  readonly #dispatches: number[] = [];
  readonly #submissions: number[] = [];
  #cpu = 0;
  #buffersAtThree = 0;
  #buffers = 0;
  /** When the step in hand began; null after something that is no step: an evaluation, a checkpoint. */
  #began: { wall: number; cpu: NodeJS.CpuUsage } | null = null;
  #before: DeviceCounters | null = null;
  #progress: Progress;
  #evaluation: Progress | null = null;
  #lastLoss = "";
  #epochBegan = 0;
  #resumedAt = 0;
  #startEpoch = 0;
  /** Of the last evaluation since the last row. */
  #metrics: Readonly<Record<string, number>> = {};

  /** @param remarks what is worth a first line of the log, such as kernels that are the user's own */
  constructor(
    ui: Ui,
    device: Device,
    outputDir: string | null,
    remarks: Readonly<Record<string, unknown>> = {},
  ) {
    this.#head = Object.keys(remarks).length > 0 ? `${JSON.stringify(remarks)}\n` : "";
    this.#ui = ui;
    this.#device = device;
    this.#logFile = outputDir === null ? null : join(outputDir, "log.jsonl");
    this.#progress = ui.progress("Training", 1);
  }

  /** Undefined before the first step. */
  get stepCost(): StepCost | undefined {
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

  async onTrainBegin({ state }: CallbackContext): Promise<void> {
    this.#progress = this.#ui.progress("Training", Math.max(1, state.maxSteps - state.globalStep));
    this.#resumedAt = state.globalStep;
    this.#startEpoch = state.epoch;
    if (this.#logFile)
      await writeFileAtomic(this.#logFile, this.#head + state.logHistory.map(jsonLine).join(""));
  }

  onEpochBegin({ state }: CallbackContext): void {
    this.#finishEpoch(state);
    this.#epochBegan = performance.now();
  }

  onCompile({ done, total }: CallbackContext & { done: number; total: number }): void {
    if (this.#ui.live) this.#ui.status(`Compiling kernels ${done}/${total}`);
    else if (done === total) this.#ui.note(`Compiled ${total} kernels`);
  }

  onStepBegin(): void {
    // The queue runs ahead by a few steps, so a step costs what lies between two beginnings.
    this.#mark();
    this.#before = this.#device.snapshot();
  }

  onStepEnd({ state }: CallbackContext): void {
    const after = this.#device.snapshot();
    const before = this.#before!;
    this.#dispatches.push(after.dispatches - before.dispatches);
    this.#submissions.push(after.submissions - before.submissions);
    const made = after.buffersCreated - before.buffersCreated;
    this.#buffers += made;
    if (this.#dispatches.length <= 3) this.#buffersAtThree += made;
    if (!this.#ui.live) return;
    const detail = `epoch ${state.epoch.toFixed(2)}/${state.numTrainEpochs}${this.#lastLoss}`;
    this.#progress.update(state.globalStep - this.#resumedAt, detail);
  }

  onSave(): void {
    this.#began = null;
  }

  onEpochEnd({ control }: CallbackContext): void {
    this.#began = null;
    // The mean over the epoch needs the steps since the last log too.
    control.shouldLog = true;
  }

  async onLog({ logs, state }: CallbackContext & { logs: LogEntry }): Promise<void> {
    if (this.#logFile) await appendFile(this.#logFile, jsonLine(logs));
    const { loss } = logs;
    if (loss === undefined) return;
    this.#lastLoss = `  loss ${loss.toFixed(4)}`;
    if (this.#ui.live) return;
    const left = (state.maxSteps - state.globalStep) * median(this.#walls.slice(-50));
    const parts = [
      `step ${state.globalStep}/${state.maxSteps}`,
      `epoch ${state.epoch.toFixed(2)}`,
      `loss ${loss.toFixed(4)}`,
      ...(logs.grad_norm === undefined ? [] : [`grad norm ${logs.grad_norm.toFixed(3)}`]),
      ...(logs.learning_rate === undefined ? [] : [`lr ${logs.learning_rate.toExponential(2)}`]),
      ...(logs.skipped_steps ? [`${logs.skipped_steps} skipped`] : []),
      `${formatSeconds(median(this.#walls.slice(-50)))}/step`,
      ...(left > 0 ? [`${formatSeconds(left)} left`] : []),
    ];
    this.#ui.note(parts.join("  "));
  }

  onPredictionStep({ batch, batches }: CallbackContext & { batch: number; batches: number }): void {
    this.#evaluation ??= this.#ui.progress("Evaluating", batches);
    this.#evaluation.update(batch);
    if (batch < batches) return;
    this.#evaluation.finish();
    this.#evaluation = null;
  }

  onEvaluate({ metrics, args, state }: CallbackContext & { metrics: Record<string, number> }): void {
    this.#began = null;
    this.#metrics = metrics;
    if (args.evalStrategy === "epoch") this.#addRow(state);
  }

  onTrainEnd({ state }: CallbackContext): void {
    this.#finishEpoch(state);
    this.#ui.done();
  }

  /** Adds the row of an epoch that was not evaluated at its end. */
  #finishEpoch(state: TrainerState): void {
    const last = this.epochs.at(-1)?.epoch ?? this.#startEpoch;
    if (state.epoch > last) this.#addRow(state);
  }

  #mark(): void {
    const now = { wall: performance.now(), cpu: process.cpuUsage() };
    if (this.#began) {
      this.#walls.push((now.wall - this.#began.wall) / 1000);
      const { user, system } = process.cpuUsage(this.#began.cpu);
      this.#cpu += (user + system) / 1e6;
    }
    this.#began = now;
  }

  #addRow(state: TrainerState): void {
    const metrics = this.#metrics;
    this.#metrics = {};
    const optional = Object.fromEntries(
      Object.entries({
        evalLoss: metrics.eval_loss,
        accuracy: metrics.eval_accuracy,
        precision: metrics.eval_precision,
        recall: metrics.eval_recall,
        f1: metrics.eval_f1,
      }).filter(([, value]) => value !== undefined),
    );
    const row: EpochRow = {
      epoch: state.epoch,
      trainLoss: meanLoss(state),
      ...optional,
      seconds: (performance.now() - this.#epochBegan) / 1000,
    };
    if (this.epochs.length === 0) this.#ui.result(formatEpochHeader());
    this.epochs.push(row);
    this.#ui.result(formatEpochRow(row));
    this.#epochBegan = performance.now();
  }
}

/** Mean training loss of the epoch that has just ended, from the log: it survives a resume in the middle. */
function meanLoss({ epoch, logHistory }: TrainerState): number {
  let sum = 0;
  let steps = 0;
  let before = 0;
  for (const logs of logHistory) {
    if (logs.loss === undefined) continue;
    if (logs.epoch > Math.ceil(epoch) - 1) {
      sum += logs.loss * (logs.step - before);
      steps += logs.step - before;
    }
    before = logs.step;
  }
  return steps > 0 ? sum / steps : Number.NaN;
}

/** Header of the epoch table. */
export function formatEpochHeader(): string {
  return `${formatRow(COLUMNS, WIDTHS, [])}\n${WIDTHS.map((w) => "─".repeat(w)).join("  ")}`;
}

/** A line of the epoch table; `–` where there is no value. */
export function formatEpochRow(row: EpochRow): string {
  const number = (value: number | undefined) =>
    value === undefined || Number.isNaN(value) ? "–" : value.toFixed(4);
  const epoch = Number.isInteger(row.epoch) ? String(row.epoch) : row.epoch.toFixed(2);
  const cells = [row.trainLoss, row.evalLoss, row.accuracy, row.precision, row.recall, row.f1].map(number);
  return formatRow([epoch, ...cells, formatSeconds(row.seconds)], WIDTHS, []);
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

function jsonLine(entry: LogEntry): string {
  return `${JSON.stringify(entry)}\n`;
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
