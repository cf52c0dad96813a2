/**
 * What a run leaves in its folder, and how it is read again: `recipe.yaml`, `metrics.json`, `log.jsonl` and
 * `predictions-<split>.jsonl`. Whoever trains writes them, `compare` and `report` read them.
 */
import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { readJsonFile, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { parse } from "yaml";
import { CommandError } from "../errors.js";

/** Content of `metrics.json`. */
export interface RunMetrics {
  /** Which verb or lab made it, such as `train`, `lora` or `features-svm`. */
  lab: string;
  interrupted: boolean;
  output_dir: string;
  global_step: number;
  /** A row an epoch: epoch, train_loss, eval_loss, accuracy, precision, recall, f1, seconds. */
  epochs: Record<string, number>[];
  /** The last evaluation, names as `eval_accuracy`. */
  validation: Record<string, number> | null;
  /** Names as `test_accuracy`. */
  test: Record<string, number> | null;
  /** Seconds in `train_runtime`, bytes in `peak_memory_bytes` (buffers) and `peak_memory_live_bytes` (tensors). */
  training: Record<string, number>;
  parameters: { trainable: number; all: number };
  /** The evaluation that was best by `metric`; null where none was made. */
  best: { step: number; epoch: number; metric: string; value: number } | null;
  /** Names of the classes, in the order of the logits. */
  labels: string[];
  /** Classifiers on frozen features, where that is what was run: each is a row of a comparison. */
  classifiers?: readonly ClassifierResult[];
  /** The user's own kernels that it was trained with, and whether they were right; left out where there are none. */
  kernels?: readonly Record<string, unknown>[];
  /** Adapter, driver, host, versions. */
  machine: Record<string, unknown>;
}

/** One classifier on frozen features. */
export interface ClassifierResult {
  /** Such as `cls` or `mean`. */
  features: string;
  /** Such as `SVC(kernel=linear)`. */
  classifier: string;
  fit_seconds: number;
  parameters: number;
  /** Figures by split: accuracy, f1, precision, recall (weighted). */
  splits: Record<string, Record<string, number>>;
}

/** One line of `predictions-<split>.jsonl`. */
export interface Prediction {
  text: string;
  /** Null where the data set has none. */
  label: number | null;
  /** The class with the largest logit. */
  prediction: number;
  logits: number[];
  /** Cross entropy of the true class; null without a label. */
  loss: number | null;
}

/** A run, read from its folder. */
export interface Run {
  /** Name of the folder. */
  name: string;
  folder: string;
  metrics: RunMetrics;
  /** Keys of `recipe.yaml`, snake_case. */
  recipe: Record<string, unknown>;
  /** Entries of `log.jsonl` that have a step: `loss`, `learning_rate`, `grad_norm`, `eval_…`. */
  log: ({ step: number; epoch: number } & Record<string, number>)[];
  /** By split; empty where none were written. */
  predictions: Record<string, Prediction[]>;
}

const SPLITS = ["validation", "test"] as const;

/** Writes `metrics.json`. */
export async function writeMetrics(folder: string, metrics: RunMetrics): Promise<void> {
  await writeJsonFile(join(folder, "metrics.json"), metrics);
}

/** Writes `predictions-<split>.jsonl`, a line an example, in the order of the data set. */
export async function writePredictions(
  folder: string,
  split: string,
  predictions: readonly Prediction[],
): Promise<void> {
  const lines = predictions.map((prediction) => `${JSON.stringify(prediction)}\n`).join("");
  await writeFileAtomic(join(folder, `predictions-${split}.jsonl`), lines);
}

/**
 * Reads a run.
 * @throws CommandError `E_RUN` for a folder that holds none, with what is missing; FileError for a file that cannot be read
 */
export async function readRun(folder: string): Promise<Run> {
  const at = (name: string) => join(folder, name);
  if (!(await isThere(at("metrics.json")))) {
    throw new CommandError(
      "E_RUN",
      `${folder} is no finished run: it has no metrics.json. Give the output folder of wgrad train or wgrad lab.`,
    );
  }
  const metrics = await readJsonFile<RunMetrics>(at("metrics.json"));
  const recipe = (await isThere(at("recipe.yaml"))) ? parse(await readFile(at("recipe.yaml"), "utf8")) : {};
  const log = (await linesOf<Run["log"][number]>(at("log.jsonl"))).filter((entry) => "step" in entry);
  const predictions: Run["predictions"] = {};
  for (const split of SPLITS) {
    const rows = await linesOf<Prediction>(at(`predictions-${split}.jsonl`));
    if (rows.length > 0) predictions[split] = rows;
  }
  return {
    name: basename(resolve(folder)),
    folder,
    metrics,
    recipe: (recipe ?? {}) as Record<string, unknown>,
    log,
    predictions,
  };
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** The JSON lines of a file; none if there is no such file. */
async function linesOf<T>(path: string): Promise<T[]> {
  if (!(await isThere(path))) return [];
  const text = await readFile(path, "utf8");
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line, i) => {
      try {
        return JSON.parse(line) as T;
      } catch (cause) {
        throw new CommandError("E_RUN", `${path}: line ${i + 1} is no JSON. Remove the line.`, { cause });
      }
    });
}
