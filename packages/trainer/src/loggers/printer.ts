import type { CallbackContext, LogEntry, TrainerCallback, TrainerState } from "../callbacks.js";
import { type ConsoleProgress, type ConsoleSink, plainConsole } from "./console-sink.js";

/** One line of the epoch table. */
export interface EpochRow {
  epoch: number;
  /** Mean over the epoch's steps. */
  trainLoss: number;
  evalLoss?: number;
  accuracy?: number;
  /** Share whose class is among the five most likely ones, where it was measured. */
  top5?: number;
  precision?: number;
  recall?: number;
  f1?: number;
  /** Training and evaluation of this epoch. */
  seconds: number;
}

const COLUMNS = ["epoch", "train loss", "val loss", "accuracy", "precision", "recall", "F1", "time"];
const WIDTHS = [6, 10, 9, 9, 9, 9, 9, 8];
/** Where the share among five stands, if it was measured. */
const TOP5 = { column: "top-5", width: 9, at: 4 };
/** Steps that the time of one is taken from. */
const RECENT = 50;

/**
 * Prints how a run goes: a bar where the console has a live line, else a line for each log, and a table with a row an epoch. As
 * `PrinterCallback` and `ProgressCallback` of transformers in one.
 */
export class PrinterCallback implements TrainerCallback {
  /** The rows of the table so far. */
  readonly epochs: EpochRow[] = [];
  readonly #sink: ConsoleSink;
  readonly #walls: number[] = [];
  /** When the step in hand began; null after something that is no step: an evaluation, a checkpoint. */
  #began: number | null = null;
  #progress: ConsoleProgress | null = null;
  #evaluation: ConsoleProgress | null = null;
  #lastLoss = "";
  #epochBegan = 0;
  #resumedAt = 0;
  #startEpoch = 0;
  #isTraining = false;
  /** Of the last evaluation since the last row. */
  #metrics: Readonly<Record<string, number>> = {};

  /** @param sink default: plain lines on stdout and stderr */
  constructor(sink: ConsoleSink = plainConsole) {
    this.#sink = sink;
  }

  onTrainBegin({ state }: CallbackContext): void {
    this.#progress = this.#sink.progress("Training", Math.max(1, state.maxSteps - state.globalStep));
    this.#resumedAt = state.globalStep;
    this.#startEpoch = state.epoch;
    this.#isTraining = true;
  }

  onEpochBegin({ state }: CallbackContext): void {
    this.#finishEpoch(state);
    this.#epochBegan = performance.now();
  }

  onCompile({ done, total }: CallbackContext & { done: number; total: number }): void {
    if (this.#sink.live) this.#sink.status(`Compiling kernels ${done}/${total}`);
    else if (done === total) this.#sink.note(`Compiled ${total} kernels`);
  }

  onStepBegin(): void {
    // The queue runs ahead by a few steps, so a step takes what lies between two beginnings.
    const now = performance.now();
    if (this.#began !== null) this.#walls.push((now - this.#began) / 1000);
    if (this.#walls.length > RECENT) this.#walls.shift();
    this.#began = now;
  }

  onStepEnd({ state }: CallbackContext): void {
    if (!this.#sink.live) return;
    const detail = `epoch ${state.epoch.toFixed(2)}/${state.numTrainEpochs}${this.#lastLoss}`;
    this.#progress?.update(state.globalStep - this.#resumedAt, detail);
  }

  onSave(): void {
    this.#began = null;
  }

  onEpochEnd({ control }: CallbackContext): void {
    this.#began = null;
    // The mean over the epoch needs the steps since the last log too.
    control.shouldLog = true;
  }

  onLog({ logs, state }: CallbackContext & { logs: LogEntry }): void {
    const { loss } = logs;
    if (loss === undefined) return;
    this.#lastLoss = `  loss ${loss.toFixed(4)}`;
    if (this.#sink.live) return;
    const seconds = median(this.#walls);
    const left = (state.maxSteps - state.globalStep) * seconds;
    const parts = [
      `step ${state.globalStep}/${state.maxSteps}`,
      `epoch ${state.epoch.toFixed(2)}`,
      `loss ${loss.toFixed(4)}`,
      ...(logs.grad_norm === undefined ? [] : [`grad norm ${logs.grad_norm.toFixed(3)}`]),
      ...(logs.learning_rate === undefined ? [] : [`lr ${logs.learning_rate.toExponential(2)}`]),
      ...(logs.skipped_steps ? [`${logs.skipped_steps} skipped`] : []),
      ...(seconds > 0 ? [`${formatDuration(seconds)}/step`] : []),
      ...(left > 0 ? [`${formatDuration(left)} left`] : []),
    ];
    this.#sink.note(parts.join("  "));
  }

  onPredictionStep({ batch, batches }: CallbackContext & { batch: number; batches: number }): void {
    this.#evaluation ??= this.#sink.progress("Evaluating", batches);
    this.#evaluation.update(batch);
    if (batch < batches) return;
    this.#evaluation.finish();
    this.#evaluation = null;
  }

  onEvaluate({ metrics, args, state }: CallbackContext & { metrics: Record<string, number> }): void {
    this.#began = null;
    if (!this.#isTraining) return;
    this.#metrics = metrics;
    if (args.evalStrategy === "epoch") this.#addRow(state);
  }

  onTrainEnd({ state }: CallbackContext): void {
    this.#finishEpoch(state);
    this.#isTraining = false;
    this.#sink.done();
  }

  /** Adds the row of an epoch that was not evaluated at its end. */
  #finishEpoch(state: TrainerState): void {
    const last = this.epochs.at(-1)?.epoch ?? this.#startEpoch;
    if (state.epoch > last) this.#addRow(state);
  }

  #addRow(state: TrainerState): void {
    const { eval_loss: evalLoss, ...metrics } = this.#metrics;
    this.#metrics = {};
    const figures = Object.entries({
      evalLoss,
      accuracy: metrics.eval_accuracy,
      top5: metrics.eval_top5_accuracy,
      precision: metrics.eval_precision,
      recall: metrics.eval_recall,
      f1: metrics.eval_f1,
    }).filter(([, value]) => value !== undefined);
    const row: EpochRow = {
      epoch: state.epoch,
      trainLoss: meanLoss(state),
      ...Object.fromEntries(figures),
      seconds: (performance.now() - this.#epochBegan) / 1000,
    };
    if (this.epochs.length === 0) this.#sink.result(formatEpochHeader("top5" in row));
    this.epochs.push(row);
    this.#sink.result(formatEpochRow(row));
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

/** Header of the epoch table. @param withTop5 for rows that have `top5` */
export function formatEpochHeader(withTop5 = false): string {
  const columns = withTop5 ? COLUMNS.toSpliced(TOP5.at, 0, TOP5.column) : COLUMNS;
  const rule = widthsOf(withTop5).map((width) => "─".repeat(width));
  return `${alignRight(columns, withTop5)}\n${rule.join("  ")}`;
}

/** A line of the epoch table; `–` where there is no value. */
export function formatEpochRow(row: EpochRow): string {
  const number = (value: number | undefined) =>
    value === undefined || Number.isNaN(value) ? "–" : value.toFixed(4);
  const epoch = Number.isInteger(row.epoch) ? String(row.epoch) : row.epoch.toFixed(2);
  const withTop5 = "top5" in row;
  const top5 = withTop5 ? [row.top5] : [];
  const figures = [row.trainLoss, row.evalLoss, row.accuracy, ...top5, row.precision, row.recall, row.f1];
  return alignRight([epoch, ...figures.map(number), formatDuration(row.seconds)], withTop5);
}

function widthsOf(withTop5: boolean): readonly number[] {
  return withTop5 ? WIDTHS.toSpliced(TOP5.at, 0, TOP5.width) : WIDTHS;
}

function alignRight(cells: readonly string[], withTop5: boolean): string {
  const widths = widthsOf(withTop5);
  return cells.map((cell, i) => cell.padStart(widths[i]!)).join("  ");
}

/** `85 ms`, `4.2 s`, `7 min`, `3.5 h` */
function formatDuration(seconds: number): string {
  if (seconds < 0.95) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 100) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function median(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
