import { confusionMatrix } from "@wgrad/trainer";
import { bestEpoch, flatten } from "../compare/rows.js";
import type { ClassifierResult, Prediction, Run } from "../runs/run-folder.js";
import { type ClassificationReport, classificationReport } from "../text/classification-report.js";

/** What a report says of a run, before it is put into words; also what `--json` prints. */
export interface RunReport {
  name: string;
  folder: string;
  lab: string;
  isInterrupted: boolean;
  /** Model and data set as the recipe names them, shortened to the last part of a path. */
  model: string | null;
  dataset: string | null;
  steps: number;
  test: Record<string, number> | null;
  validation: Record<string, number> | null;
  best: { epoch: number; metric: string; value: number } | null;
  parameters: { trainable: number; all: number } | null;
  training: Record<string, number>;
  epochs: Record<string, number>[];
  log: Run["log"];
  classifiers: readonly ClassifierResult[];
  splits: SplitReport[];
  /** Keys of the recipe and their values. */
  configuration: [name: string, value: string][];
  /** Adapter, driver, host and versions. */
  environment: [name: string, value: string][];
}

/** Predictions of a split, summed up. */
export interface SplitReport {
  split: string;
  /** Names of the classes, no two alike. */
  labels: string[];
  examples: number;
  /** How many have no label, so that nothing can be said of them. */
  unlabelled: number;
  /** counts[truth][predicted]; null where there is no label at all. */
  confusion: number[][] | null;
  report: ClassificationReport | null;
  /** Largest losses first. */
  worst: ExampleReport[];
  /** Smallest losses first. */
  best: ExampleReport[];
}

/** One example with what the model made of it. */
export interface ExampleReport {
  /** Row of the split, from 0. */
  row: number;
  text: string;
  label: string;
  prediction: string;
  isRight: boolean;
  /** Probability of the predicted class, from 0 to 1; null where there are no finite logits. */
  confidence: number | null;
  loss: number;
}

/** @param examples how many of the worst and of the best */
export function reportOf(run: Run, examples: number): RunReport {
  const { metrics, recipe } = run;
  return {
    name: run.name,
    folder: run.folder,
    lab: metrics.lab,
    isInterrupted: metrics.interrupted,
    model: shortName(recipe.model),
    dataset: shortName(recipe.dataset),
    steps: metrics.global_step,
    test: metrics.test,
    validation: metrics.validation,
    best: bestEpoch(run),
    parameters: metrics.parameters,
    training: metrics.training ?? {},
    epochs: metrics.epochs ?? [],
    log: run.log,
    classifiers: metrics.classifiers ?? [],
    // The test split tells most, so it comes first.
    splits: Object.entries(run.predictions)
      .sort(([a]) => (a === "test" ? -1 : 1))
      .map(([split, predictions]) => splitReport(split, predictions, metrics.labels ?? [], examples)),
    configuration: flatten(recipe),
    environment: flatten({ ...metrics.machine, ...(metrics.kernels ? { kernels: metrics.kernels } : {}) }),
  };
}

/** `sentiment` of `/data/sentiment`, `wgrad/tiny` of `wgrad/tiny`. */
function shortName(value: unknown): string | null {
  if (typeof value !== "string" || value === "") return null;
  const parts = value.split(/[\\/]/).filter(Boolean);
  const isHubId = parts.length === 2 && !/^[./~]/.test(value);
  return isHubId ? value : (parts.at(-1) ?? value);
}

function splitReport(
  split: string,
  predictions: readonly Prediction[],
  names: readonly string[],
  count: number,
): SplitReport {
  const labelled = predictions.flatMap((prediction, row) =>
    isClass(prediction.label) && isClass(prediction.prediction)
      ? [{ ...prediction, label: prediction.label, row }]
      : [],
  );
  const classes = labelled.reduce(
    (most, { label, prediction }) => Math.max(most, label + 1, prediction + 1),
    names.length,
  );
  const labels = uniqueNames(Array.from({ length: classes }, (_, i) => names[i] ?? String(i)));
  const confusion =
    labelled.length === 0
      ? null
      : confusionMatrix(
          Int32Array.from(labelled, ({ label }) => label),
          Int32Array.from(labelled, ({ prediction }) => prediction),
          classes,
        );
  const byLoss = labelled
    .flatMap((example) =>
      typeof example.loss === "number" && Number.isFinite(example.loss)
        ? [{ ...example, loss: example.loss }]
        : [],
    )
    .sort((a, b) => b.loss - a.loss);
  const describe = (example: (typeof byLoss)[number]): ExampleReport => ({
    row: example.row,
    text: example.text ?? "",
    label: labels[example.label]!,
    prediction: labels[example.prediction]!,
    isRight: example.label === example.prediction,
    confidence: confidence(example.logits ?? [], example.prediction),
    loss: example.loss,
  });
  const worst = byLoss.slice(0, count);
  // With few examples none is both.
  const best = byLoss.slice(Math.max(worst.length, byLoss.length - count)).reverse();
  return {
    split,
    labels,
    examples: predictions.length,
    unlabelled: predictions.length - labelled.length,
    confusion,
    report: confusion && classificationReport(confusion, labels),
    worst: worst.map(describe),
    best: best.map(describe),
  };
}

/** The report is a record by name, in which two classes of one name would be one. */
export function uniqueNames(labels: readonly string[]): string[] {
  return labels.map((label, i) => (labels.indexOf(label) === i ? label : `${label} (${i})`));
}

function isClass(value: number | null | undefined): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

/** Probability of a class; a single logit is that of the second of two classes. */
function confidence(logits: readonly number[], prediction: number): number | null {
  const all = logits.length === 1 ? [0, logits[0]!] : logits;
  if (all.length <= prediction || !all.every((logit) => Number.isFinite(logit))) return null;
  const largest = Math.max(...all);
  const sum = all.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return Math.exp(all[prediction]! - largest) / sum;
}
