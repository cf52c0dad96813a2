import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Dataset } from "@wgrad/datasets";
import type { DistilBertForSequenceClassification } from "@wgrad/models";
import { writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import {
  argmaxRows,
  classificationMetrics,
  confusionMatrix,
  type Example,
  type PredictionOutput,
  Trainer,
  type TrainingArguments,
} from "@wgrad/trainer";
import { UsageError } from "../errors.js";
import { classificationReport, formatClassificationReport } from "../text/classification-report.js";
import { formatBytes, formatSeconds, type Ui } from "../ui.js";
import { type BatchSettings, collatorOf } from "./data.js";
import { machine, RunMonitor } from "./monitor.js";

/** What {@link runTraining} is given: everything loaded, nothing decided any more. */
export interface TrainingRun {
  model: DistilBertForSequenceClassification;
  tokenizer: PreTrainedTokenizer;
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
  /** The user's own kernels that are in use, for the log and `metrics.json`. */
  ownKernels?: readonly Record<string, unknown>[];
}

/** What came of it: the content of `metrics.json`. */
export interface TrainingResult {
  interrupted: boolean;
  output_dir: string;
  global_step: number;
  epochs: Record<string, number>[];
  validation: Record<string, number> | null;
  test: Record<string, number> | null;
  training: Record<string, number>;
  /** The user's own kernels that it was trained with, and whether they were right; left out where there are none. */
  kernels?: readonly Record<string, unknown>[];
  machine: Record<string, unknown>;
}

/**
 * Trains, evaluates and saves: checkpoints while it runs, then model, tokenizer, `recipe.yaml`, `metrics.json` and `log.jsonl`
 * in the output folder. Ctrl-C ends it after the step in hand with a checkpoint, a second one at once.
 */
export async function runTraining(run: TrainingRun, ui: Ui): Promise<TrainingResult> {
  const { args, model, tokenizer } = run;
  const folder = args.outputDir;
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(join(folder, "recipe.yaml"), run.recipe);
  const kernels = run.ownKernels?.length ? { kernels: run.ownKernels } : {};
  const monitor = new RunMonitor(ui, model.device, folder, kernels);
  const trainer = new Trainer({
    model,
    args,
    trainDataset: run.train,
    ...(run.validation ? { evalDataset: run.validation } : {}),
    dataCollator: collatorOf(tokenizer, run.batches),
    processingClass: tokenizer,
    computeMetrics: classificationMetrics,
    callbacks: [monitor],
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
  const result: TrainingResult = {
    interrupted: output.interrupted,
    output_dir: folder,
    global_step: output.globalStep,
    epochs: monitor.epochs.map(({ trainLoss, evalLoss, ...rest }) => ({
      ...rest,
      train_loss: trainLoss,
      ...(evalLoss === undefined ? {} : { eval_loss: evalLoss }),
    })),
    validation: lastEvaluation(trainer),
    test: null,
    training: {
      train_loss: train_loss!,
      train_runtime: train_runtime!,
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
    ...kernels,
    machine: machine(model.device),
  };
  if (cost) {
    ui.result(
      `\n${result.global_step} steps in ${formatSeconds(train_runtime!)}: ${formatSeconds(cost.seconds)} a step (${cost.cpuSeconds.toFixed(2)} s of CPU), ` +
        `${cost.dispatches} dispatches in ${cost.submissions} submission${cost.submissions === 1 ? "" : "s"}, ` +
        `${cost.buffersCreatedAfterThree} buffers made after step 3\n` +
        `Peak memory: ${formatBytes(memory.peakLiveBytes)} of tensors in ${formatBytes(memory.peakBytes)} of buffers`,
    );
  }
  if (output.interrupted) {
    ui.result(
      `\nStopped after step ${result.global_step} of ${trainer.state.maxSteps}. Checkpoint: ${join(folder, `checkpoint-${result.global_step}`)}\n` +
        `Go on with: wgrad train ${join(folder, "recipe.yaml")} --resume`,
    );
    return result;
  }
  await trainer.saveModel(folder);
  if (run.test) {
    const prediction = await trainer.predict(run.test, "test");
    result.test = prediction.metrics;
    if (prediction.labelIds) reportPredictions(prediction, Object.values(model.config.id2label), ui);
  }
  await writeJsonFile(join(folder, "metrics.json"), result);
  ui.result(
    `\nSaved in ${folder}: model.safetensors, config.json, tokenizer, recipe.yaml, metrics.json, log.jsonl`,
  );
  return result;
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
  const names = (await readdir(folder).catch(() => [])).filter((name) =>
    /^checkpoint-\d+(\.tmp)?$/.test(name),
  );
  const whole = names.filter((name) => !name.endsWith(".tmp"));
  if (whole.length > 0 && !options.overwrite) {
    throw new UsageError(
      `${folder} holds checkpoints of an earlier run (${whole.join(", ")}). Go on with it: --resume. Start anew in another folder: --output-dir. Remove them: --overwrite-output-dir.`,
    );
  }
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
}
