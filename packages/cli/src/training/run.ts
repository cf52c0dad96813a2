import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Dataset } from "@wgrad/datasets";
import { readJsonFile, readTextIfThere, writeFileAtomic } from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { PeftModel } from "@wgrad/peft";
import {
  type AnyDataCollator,
  type AnyModel,
  argmaxRows,
  classificationMetrics,
  confusionMatrix,
  type EvalPrediction,
  type Example,
  type LogEntry,
  listCheckpoints,
  type PredictionOutput,
  type ProcessingClass,
  recoverCheckpoints,
  type TrainableModel,
  Trainer,
  type TrainerCallback,
  type TrainerDataset,
  type TrainerOptions,
  type TrainingArguments,
} from "@wgrad/trainer";
import { UsageError } from "../errors.js";
import { type Prediction, type RunMetrics, writeMetrics, writePredictions } from "../runs/run-folder.js";
import { classificationReport, formatClassificationReport } from "../text/classification-report.js";
import { formatBytes, formatSeconds, type Ui } from "../ui.js";
import { type BatchSettings, collatorOf } from "./data.js";
import { machine, RunMonitor } from "./monitor.js";
import { commandOf } from "./recipe-text.js";

/** What {@link runTraining} is given: everything loaded, nothing decided any more. */
export interface TrainingRun {
  /** The verb or lab that runs it: `train`, `finetune`, … */
  lab: string;
  model: TrainableModel;
  tokenizer: PreTrainedTokenizer;
  /** Names of the classes, in the order of the logits. */
  labels: readonly string[];
  args: Readonly<TrainingArguments>;
  batches: BatchSettings;
  train: Dataset<Example>;
  /** Null where the data set has no such split. */
  validation: Dataset<Example> | null;
  test: Dataset<Example> | null;
  /** A checkpoint's folder, true for the newest, false to start anew. */
  resume: string | boolean;
  /** Written beside the results. */
  recipe: string;
  /** The command that goes on after an interruption; default `wgrad … recipe.yaml --resume`. */
  goOn?: string;
  callbacks?: readonly TrainerCallback[];
  /** The user's own kernels that are in use, for the log and `metrics.json`. */
  ownKernels?: readonly Record<string, unknown>[];
}

/** What {@link trainMonitored} is given: training alone, whatever the model is for. */
export interface MonitoredRun
  extends Pick<
    TrainingRun,
    "lab" | "labels" | "args" | "resume" | "recipe" | "goOn" | "callbacks" | "ownKernels"
  > {
  model: TrainableModel | AnyModel;
  /** Saved beside the model: a tokenizer or a processor. */
  tokenizer: ProcessingClass;
  train: TrainerDataset;
  validation: TrainerDataset | null;
  /** Makes the trainer: for a subclass of it. Default `new Trainer(options)`. */
  createTrainer?: (options: TrainerOptions) => Trainer;
  collator: AnyDataCollator;
  /** Null: the loss alone is measured. */
  computeMetrics: ((prediction: EvalPrediction) => Record<string, number>) | null;
}

/**
 * Trains, evaluates and saves: checkpoints while it runs, then model, tokenizer, `recipe.yaml`, `metrics.json`, `log.jsonl` and
 * the predictions in the output folder. Ctrl-C ends it after the step in hand with a checkpoint, a second one at once.
 */
export async function runTraining(run: TrainingRun, ui: Ui): Promise<RunMetrics> {
  const { args, model, tokenizer } = run;
  const folder = args.outputDir;
  const { trainer, result } = await trainMonitored(
    { ...run, collator: collatorOf(tokenizer, run.batches), computeMetrics: classificationMetrics },
    ui,
  );
  if (result.interrupted) return result;
  await trainer.saveModel(folder);
  if (args.loadBestModelAtEnd && result.best) {
    const { metric, value, epoch } = result.best;
    ui.result(
      `Best: ${metric} ${value.toFixed(4)} after epoch ${Number(epoch.toFixed(2))}; its weights are put back.`,
    );
  }
  if (run.validation) {
    const prediction = await trainer.predict(run.validation, "eval");
    const { epoch, globalStep } = trainer.state;
    if (prediction.labelIds) result.validation = { ...prediction.metrics, epoch, step: globalStep };
    await writePredictions(folder, "validation", predictionsOf(prediction, run.validation));
  }
  if (run.test) {
    const prediction = await trainer.predict(run.test, "test");
    result.test = prediction.metrics;
    await writePredictions(folder, "test", predictionsOf(prediction, run.test));
    if (prediction.labelIds) reportPredictions(prediction, run.labels, ui);
  }
  await writeMetrics(folder, result);
  const weights =
    model instanceof PeftModel
      ? "adapter_model.safetensors, adapter_config.json"
      : "model.safetensors, config.json";
  ui.result(`\nSaved in ${folder}: ${weights}, tokenizer, recipe.yaml, metrics.json, log.jsonl, predictions`);
  return result;
}

/**
 * Trains and measures, with progress, log, checkpoints and Ctrl-C as {@link runTraining}; writes `metrics.json`
 * only of an interrupted run.
 */
export async function trainMonitored(
  run: MonitoredRun,
  ui: Ui,
): Promise<{ trainer: Trainer; result: RunMetrics }> {
  const { args, model, tokenizer } = run;
  const folder = args.outputDir;
  await mkdir(folder, { recursive: true });
  const earlier = run.resume ? await interruptedRun(folder) : null;
  await removeResults(folder);
  await writeFileAtomic(join(folder, "recipe.yaml"), run.recipe);
  const kernels = run.ownKernels?.length ? { kernels: run.ownKernels } : {};
  const monitor = new RunMonitor(ui, model.device, args.reportTo, kernels);
  const { createTrainer = (options: TrainerOptions) => new Trainer(options) } = run;
  const trainer = createTrainer({
    model,
    args,
    trainDataset: run.train,
    ...(run.validation ? { evalDataset: run.validation } : {}),
    dataCollator: run.collator,
    processingClass: tokenizer,
    ...(run.computeMetrics ? { computeMetrics: run.computeMetrics } : {}),
    callbacks: [...monitor.callbacks, ...(run.callbacks ?? [])],
  });
  ui.onInterrupt(() => {
    ui.onInterrupt(null);
    ui.note("Interrupted: finishing this step and writing a checkpoint. Ctrl-C again leaves at once.");
    trainer.requestStop();
  });
  const output = await trainer.train({ resumeFromCheckpoint: run.resume });
  ui.onInterrupt(null);
  const { train_loss, train_runtime, train_samples_per_second, train_steps_per_second } = output.metrics;
  const cost = monitor.stepCost;
  const memory = model.device.memory();
  // The part before an interruption belongs to the run, where it left its figures.
  const isContinued = earlier !== null && earlier.global_step <= output.globalStep;
  const result: RunMetrics = {
    lab: run.lab,
    interrupted: output.interrupted,
    output_dir: folder,
    global_step: output.globalStep,
    epochs: epochsOf(trainer, monitor, isContinued ? earlier.epochs : []),
    validation: lastEvaluation(trainer),
    test: null,
    training: {
      train_loss: train_loss!,
      train_runtime: train_runtime! + (isContinued ? (earlier.training.train_runtime ?? 0) : 0),
      train_samples_per_second: train_samples_per_second!,
      train_steps_per_second: train_steps_per_second!,
      tokens_seen: trainer.state.numInputTokensSeen,
      ...pick(output.metrics, ["loss_scale", "skipped_steps"]),
      ...(cost
        ? {
            seconds_per_step: cost.seconds,
            cpu_seconds_per_step: cost.cpuSeconds,
            dispatches_per_step: cost.dispatches,
            submissions_per_step: cost.submissions,
            buffers_created_after_step_3: cost.buffersCreatedAfterThree,
          }
        : {}),
      peak_memory_live_bytes: memory.peakLiveBytes,
      peak_memory_bytes: memory.peakBytes,
      peak_resident_bytes: process.resourceUsage().maxRSS * 1024,
    },
    parameters: countParameters(model),
    best: bestOf(trainer),
    labels: [...run.labels],
    ...kernels,
    machine: machine(model.device),
  };
  if (cost) {
    ui.result(
      `\n${result.global_step} steps in ${formatSeconds(result.training.train_runtime!)}: ${formatSeconds(cost.seconds)} a step (${cost.cpuSeconds.toFixed(2)} s of CPU), ` +
        `${cost.dispatches} dispatches in ${cost.submissions} submission${cost.submissions === 1 ? "" : "s"}, ` +
        `${cost.buffersCreatedAfterThree} buffers made after step 3\n` +
        `Peak memory: ${formatBytes(memory.peakLiveBytes)} of tensors in ${formatBytes(memory.peakBytes)} of buffers`,
    );
  }
  if (output.interrupted) {
    await writeMetrics(folder, result);
    const goOn = run.goOn ?? `${commandOf(run.lab)} ${join(folder, "recipe.yaml")} --resume`;
    ui.result(
      `\nStopped after step ${result.global_step} of ${trainer.state.maxSteps}. Checkpoint: ${join(folder, `checkpoint-${result.global_step}`)}\n` +
        `Go on with: ${goOn}`,
    );
  }
  return { trainer, result };
}

/** What an interrupted run left, null where there is none. */
async function interruptedRun(folder: string): Promise<RunMetrics | null> {
  const path = join(folder, "metrics.json");
  if ((await readTextIfThere(path)) === undefined) return null;
  const metrics = await readJsonFile<RunMetrics>(path);
  return metrics.interrupted ? metrics : null;
}

/** Results of an earlier run in the folder are not those of this one. */
async function removeResults(folder: string): Promise<void> {
  const results = ["metrics.json", "predictions-validation.jsonl", "predictions-test.jsonl"];
  for (const name of [...results, "pictures.json", "grid.png", "grid.html"])
    await rm(join(folder, name), { force: true });
}

/** A row an epoch: those of this process, before them those of the run that it goes on with, from its log. */
function epochsOf(
  trainer: Trainer,
  monitor: RunMonitor,
  left: readonly Record<string, number>[],
): Record<string, number>[] {
  const own = monitor.epochs.map(({ trainLoss, evalLoss, top5, ...rest }) => ({
    ...rest,
    ...(top5 === undefined ? {} : { top5_accuracy: top5 }),
    train_loss: trainLoss,
    ...(evalLoss === undefined ? {} : { eval_loss: evalLoss }),
  }));
  const { logHistory, epoch } = trainer.state;
  const first = own[0]?.epoch ?? epoch + 1;
  const before: Record<string, number>[] = [];
  for (let end = 1; end < Math.ceil(first); end++) {
    const seconds = left.find((row) => row.epoch === end)?.seconds;
    before.push({ ...epochFromLog(logHistory, end), ...(seconds === undefined ? {} : { seconds }) });
  }
  return [...before, ...own];
}

/** The row of the epoch that ends at `end`, as far as the log tells. */
function epochFromLog(log: readonly LogEntry[], end: number): Record<string, number> {
  const within = log.filter((entry) => entry.epoch > end - 1 && entry.epoch <= end);
  let sum = 0;
  let steps = 0;
  let last = log.findLast((entry) => entry.epoch <= end - 1 && "loss" in entry)?.step ?? 0;
  for (const { loss, step } of within) {
    if (loss === undefined) continue;
    sum += loss * (step - last);
    steps += step - last;
    last = step;
  }
  const evaluation = within.findLast((entry) => "eval_loss" in entry) ?? {};
  const figures = Object.entries(evaluation)
    .filter(([name]) => /^eval_(loss|accuracy|top5_accuracy|precision|recall|f1)$/.test(name))
    .map(([name, value]) => [name === "eval_loss" ? name : name.slice("eval_".length), value]);
  return {
    epoch: end,
    ...(steps > 0 ? { train_loss: sum / steps } : {}),
    ...Object.fromEntries(figures),
  };
}

/** Trained elements and all, as PEFT counts them where there is an adapter. */
export function countParameters(model: TrainableModel | AnyModel): { trainable: number; all: number } {
  if (model instanceof PeftModel) {
    const { trainable, all } = model.getNbTrainableParameters();
    return { trainable, all };
  }
  return { trainable: model.numParameters({ trainable: true }), all: model.numParameters() };
}

function bestOf({ state, args }: Trainer): RunMetrics["best"] {
  const { bestGlobalStep, bestMetric, logHistory } = state;
  if (bestGlobalStep === null || bestMetric === null) return null;
  const entry = logHistory.find((logs) => logs.step === bestGlobalStep && "eval_loss" in logs);
  return {
    step: bestGlobalStep,
    epoch: entry?.epoch ?? state.epoch,
    metric: args.metricForBestModel ?? "loss",
    value: bestMetric,
  };
}

/** Lines of `predictions-<split>.jsonl`. @param examples with the column `text` */
export function predictionsOf(
  { predictions, labelIds, numLabels }: PredictionOutput,
  examples: Dataset<Example>,
): Prediction[] {
  const texts = examples.columnNames.includes("text")
    ? (Array.from(examples.column("text") as ArrayLike<unknown>) as string[])
    : [];
  const best = argmaxRows(predictions, numLabels);
  return Array.from({ length: examples.numRows }, (_, row) => {
    const logits = Array.from(predictions.subarray(row * numLabels, (row + 1) * numLabels));
    const given = labelIds?.[row] ?? -1;
    const label = given >= 0 ? given : null;
    const loss = label === null ? null : crossEntropy(logits, label);
    return { text: texts[row] ?? "", label, prediction: best[row]!, logits, loss };
  });
}

function crossEntropy(logits: readonly number[], label: number): number {
  const largest = Math.max(...logits);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return largest + Math.log(sum) - logits[label]!;
}

/** Prints loss and scikit-learn's report of a labelled prediction. */
export function reportPredictions(
  prediction: PredictionOutput,
  names: readonly string[],
  ui: Ui,
  title = "Test",
): void {
  const { predictions, labelIds, numLabels, metrics } = prediction;
  const confusion = confusionMatrix(labelIds!, argmaxRows(predictions, numLabels), numLabels);
  const loss = Object.entries(metrics).find(([key]) => key.endsWith("_loss"))?.[1];
  ui.result(
    `\n${title}: ${labelIds!.length} examples, loss ${loss?.toFixed(4) ?? "–"}\n\n${formatClassificationReport(classificationReport(confusion, names))}`,
  );
}

/** Those of the named figures that there are. */
function pick(metrics: Readonly<Record<string, number>>, names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.flatMap((name) => (name in metrics ? [[name, metrics[name]!]] : [])));
}

function lastEvaluation(trainer: Trainer): Record<string, number> | null {
  const entry = trainer.state.logHistory.findLast((logs) => "eval_loss" in logs);
  return entry ? { ...entry } : null;
}

/**
 * Makes sure that a new run does not mix with the checkpoints of another in its folder.
 * @throws UsageError if there are some and neither resuming nor overwriting was asked for
 */
export async function guardOutputDir(
  folder: string,
  options: { resume: boolean; overwrite: boolean },
): Promise<void> {
  if (options.resume) return;
  // A run that was killed may have left a checkpoint under another name.
  await recoverCheckpoints(folder);
  const checkpoints = await listCheckpoints(folder);
  if (checkpoints.length > 0 && !options.overwrite) {
    const names = checkpoints.map((path) => basename(path)).join(", ");
    throw new UsageError(
      `${folder} holds checkpoints of an earlier run (${names}). Go on with it: --resume. Start anew in another folder: --output-dir. Remove them: --overwrite-output-dir.`,
    );
  }
  for (const path of checkpoints) await rm(path, { recursive: true, force: true });
}
