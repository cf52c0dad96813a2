import { readdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Parameter } from "@wgrad/tensor";
import type { CallbackContext, LogEntry, TrainerCallback } from "../callbacks.js";
import type { TrainingArguments } from "../training-arguments.js";
import { trainingArgumentsToJson } from "../training-arguments.js";
import { rewriteLogs } from "./log-names.js";
import { hasEventFiles, SummaryWriter } from "./summary-writer.js";

/**
 * Writes what is logged to event files for TensorBoard, as `transformers.integrations.TensorBoardCallback`: scalars under Hugging
 * Face's names (`train/loss`, `train/learning_rate`, `eval/loss`, …), the arguments and the model's configuration as texts, and
 * with `args.loggingHistograms` histograms of weights and gradients.
 *
 * The folder is `args.loggingDir`, else `<outputDir>/runs/<date>_<host>`. A run that goes on after a checkpoint writes a new file in the
 * same folder, and TensorBoard drops what was written after that checkpoint.
 */
export class TensorBoardCallback implements TrainerCallback {
  #writer: SummaryWriter | null;
  #folder: string | null = null;

  /** @param writer in place of one of its own: it then decides about folder and purging */
  constructor(writer: SummaryWriter | null = null) {
    this.#writer = writer;
  }

  /** For own scalars, texts and images; null before training begins and after it has ended. */
  get writer(): SummaryWriter | null {
    return this.#writer;
  }

  onTrainBegin({ args, state, trainer }: CallbackContext): void {
    const resumes = state.globalStep > 0;
    if (!this.#writer) {
      this.#folder = logFolder(args, resumes);
      const purges = resumes || hasEventFiles(this.#folder);
      this.#writer = new SummaryWriter(
        this.#folder,
        purges ? { purgeStep: resumes ? state.globalStep + 1 : 0 } : {},
      );
    }
    this.#writer.addText("args", codeBlock(trainingArgumentsToJson(args)), state.globalStep);
    this.#writer.addText("model_config", codeBlock(trainer.model.configJson()), state.globalStep);
    this.#writer.flush();
  }

  onStepBegin({ args, state, control }: CallbackContext): void {
    if (isDue(args, state.globalStep + 1)) control.shouldObserveGradients = true;
  }

  async onPreOptimizerStep({ args, state, trainer }: CallbackContext): Promise<void> {
    const step = state.globalStep + 1;
    if (!isDue(args, step)) return;
    const scale = trainer.scaler ? 1 / (await trainer.scaler.getScale()) : 1;
    for (const [name, { grad }] of trainedParameters(trainer)) {
      if (!grad) continue;
      const values = Float32Array.from((await grad.toArray()) as ArrayLike<number>);
      if (scale !== 1) for (let i = 0; i < values.length; i++) values[i]! *= scale;
      this.#writer?.addHistogram(`gradients/${name}`, values, step);
    }
  }

  async onStepEnd({ args, state, trainer }: CallbackContext): Promise<void> {
    if (!isDue(args, state.globalStep)) return;
    for (const [name, parameter] of trainedParameters(trainer)) {
      const values = (await parameter.toArray()) as ArrayLike<number>;
      this.#writer?.addHistogram(`weights/${name}`, values, state.globalStep);
    }
  }

  onLog({ args, logs, state }: CallbackContext & { logs: LogEntry }): void {
    // An evaluation after training, or without any.
    const writer = this.#writer ?? new SummaryWriter(this.#folder ?? logFolder(args, false));
    this.#folder = writer.logDir;
    for (const [tag, value] of Object.entries(rewriteLogs(logs)))
      writer.addScalar(tag, value, state.globalStep);
    if (!this.#writer) writer.close();
  }

  onSave(): void {
    this.#writer?.flush();
  }

  onTrainEnd(): void {
    this.#writer?.close();
    this.#writer = null;
  }
}

function isDue({ loggingHistograms }: Readonly<TrainingArguments>, step: number): boolean {
  return loggingHistograms > 0 && step % loggingHistograms === 0;
}

function trainedParameters(trainer: CallbackContext["trainer"]): [string, Parameter][] {
  return [...trainer.model.namedParameters()].filter(([, parameter]) => parameter.requiresGrad);
}

/** Where the events of a run go; on a resume where those before went. */
function logFolder({ loggingDir, outputDir }: Readonly<TrainingArguments>, resumes: boolean): string {
  if (loggingDir !== null) return loggingDir;
  const runs = join(outputDir, "runs");
  return (resumes ? latestRun(runs) : null) ?? join(runs, newRunName(new Date()));
}

/** The folder that was written to last; null where there is none. */
function latestRun(runs: string): string | null {
  let latest: { folder: string; time: number } | null = null;
  const entries = readdirIfThere(runs);
  for (const name of entries) {
    const folder = join(runs, name);
    for (const file of readdirIfThere(folder)) {
      const time = Number(/^events\.out\.tfevents\.(\d+)\./.exec(file)?.[1] ?? Number.NaN);
      if (time > (latest?.time ?? -1)) latest = { folder, time };
    }
  }
  return latest?.folder ?? null;
}

function readdirIfThere(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** `Nov22_14-05-09_host`, as PyTorch's. */
function newRunName(now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const month = now.toLocaleString("en-US", { month: "short" });
  const clock = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
  return `${month}${two(now.getDate())}_${clock}_${hostname()}`;
}

function codeBlock(value: unknown): string {
  return `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;
}
