import { join } from "node:path";
import type { Dataset } from "@wgrad/datasets";
import { saveSafetensors, tensorSources, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { classificationMetrics, type Example, toSnakeCase } from "@wgrad/trainer";
import { stringify } from "yaml";
import {
  type Prediction,
  type RunMetrics,
  readRun,
  writeMetrics,
  writePredictions,
} from "../../runs/run-folder.js";
import { machine } from "../../training/monitor.js";
import { crossEntropyOf, type EpochFigures, evaluate, type LoopOptions, type trainLoop } from "./loop.js";
import type { SentimentClassifier } from "./model.js";

/** Settings of the lab, as its recipe names them. */
export interface Settings {
  model: string;
  dataset: string;
  textColumn?: string;
  labelColumn?: string;
  subset: number;
  maxLength: number;
  numTrainEpochs: number;
  perDeviceTrainBatchSize: number;
  learningRate: number;
  dropout: number;
  seed: number;
  outputDir: string;
}

/** Where a model begins. */
export const STARTS = ["pretrained", "random"] as const;
export type Start = (typeof STARTS)[number];

/** Texts and rows of a split. */
export interface Split {
  texts: string[];
  examples: Dataset<Example>;
}

/** A start that was trained. */
export interface Finished {
  start: Start;
  settings: Settings;
  folder: string;
  output: Awaited<ReturnType<typeof trainLoop>>;
  seconds: number;
  parameters: number;
  validation: Split;
  labels: string[];
  collate: LoopOptions["collate"];
}

/** Weights, figures and predictions of a run, in the form that `compare` and `report` read. */
export async function saveRun(model: SentimentClassifier, run: Finished): Promise<void> {
  const { folder, output, validation, labels } = run;
  const { device } = model.distilbert;
  const { logits, loss, accuracy } = await evaluate(model, validation.examples, run.collate);
  const labelIds = Int32Array.from(validation.texts, (_, i) => Number(validation.examples.at(i).label));
  // Two logits of which the first is 0 say the same as one: softmax of both is the sigmoid.
  const pairs = Float32Array.from([...logits].flatMap((z) => [0, z]));
  const figures = classificationMetrics({ predictions: pairs, labelIds, numLabels: 2 });
  const predictions = validation.texts.map(
    (text, i): Prediction => ({
      text,
      label: labelIds[i]!,
      prediction: Number(logits[i]! > 0),
      logits: [0, logits[i]!],
      loss: crossEntropyOf(logits[i]!, labelIds[i]!),
    }),
  );
  const best = output.epochs.reduce((a, b) => (b.validationAccuracy > a.validationAccuracy ? b : a));
  const memory = device.memory();
  const metrics: RunMetrics = {
    lab: `imdb-scratch (${run.start})`,
    interrupted: output.isStopped,
    output_dir: folder,
    global_step: output.steps,
    epochs: output.epochs.map((e) => ({
      epoch: e.epoch,
      train_loss: e.trainLoss,
      train_accuracy: e.trainAccuracy,
      eval_loss: e.validationLoss,
      accuracy: e.validationAccuracy,
      seconds: e.seconds,
    })),
    validation: {
      eval_loss: loss,
      eval_accuracy: accuracy,
      ...Object.fromEntries(Object.entries(figures).map(([name, value]) => [`eval_${name}`, value])),
    },
    test: null,
    training: {
      train_runtime: run.seconds,
      peak_memory_live_bytes: memory.peakLiveBytes,
      peak_memory_bytes: memory.peakBytes,
    },
    parameters: { trainable: run.parameters, all: run.parameters },
    best: { step: best.step, epoch: best.epoch, metric: "accuracy", value: best.validationAccuracy },
    labels,
    machine: machine(device),
  };
  await saveSafetensors(join(folder, "model.safetensors"), tensorSources(model));
  await writeJsonFile(join(folder, "config.json"), model.distilbert.configJson());
  await writePredictions(folder, "validation", predictions);
  await writeFileAtomic(join(folder, "recipe.yaml"), recipeOf(run));
  await writeMetrics(folder, metrics);
}

/** The epochs of a start that was trained to its end earlier; null where there is none. */
export async function finishedEpochs(folder: string): Promise<EpochFigures[] | null> {
  const run = await readRun(folder).catch(() => null);
  if (!run || run.metrics.interrupted) return null;
  return run.metrics.epochs.map((e, i, all) => ({
    epoch: e.epoch!,
    step: Math.round((run.metrics.global_step * (i + 1)) / all.length),
    trainLoss: e.train_loss!,
    trainAccuracy: e.train_accuracy!,
    validationLoss: e.eval_loss!,
    validationAccuracy: e.accuracy!,
    seconds: e.seconds!,
  }));
}

function recipeOf({ settings, start }: Finished): string {
  const entries = Object.entries(settings).filter(([, value]) => value !== null);
  const keys = Object.fromEntries(entries.map(([name, value]) => [toSnakeCase(name), value]));
  return `# Written by wgrad lab imdb-scratch (${start} weights).\n${stringify({ lab: "imdb-scratch", ...keys })}`;
}
