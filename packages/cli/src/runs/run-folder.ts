/**
 * What a run leaves in its folder, and how it is read again: `recipe.yaml`, `metrics.json`, `log.jsonl`,
 * `predictions-<split>.jsonl` and `pictures.json`. Whoever trains writes them, `compare` and `report` read them.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { readJsonFile, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { parse } from "yaml";
import { CommandError } from "../errors.js";
import type { EmbeddedPicture } from "../report/pictures.js";

/** Content of `metrics.json`. */
export interface RunMetrics {
  /** Which verb or lab made it, such as `train`, `lora` or `features-svm`. */
  lab: string;
  interrupted: boolean;
  output_dir: string;
  global_step: number;
  /** A row an epoch: epoch, train_loss, eval_loss, accuracy, top5_accuracy, precision, recall, f1, seconds. */
  epochs: Record<string, number>[];
  /** The last evaluation, names as `eval_accuracy`. */
  validation: Record<string, number> | null;
  /** Names as `test_accuracy`. */
  test: Record<string, number> | null;
  /** Seconds in `train_runtime`, bytes in `peak_memory_bytes` (buffers) and `peak_memory_live_bytes` (tensors). */
  training: Record<string, number>;
  /** Null where the run did not say. */
  parameters: { trainable: number; all: number } | null;
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

/** Pictures of a split with what the model made of them: `pictures.json`. */
export interface RunPictures {
  split: string;
  /** Which pictures these are. */
  title: string;
  pictures: EmbeddedPicture[];
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
  /** Null where none were written. */
  pictures: RunPictures | null;
}

const SPLITS = ["validation", "test"] as const;

/** Writes `metrics.json`. */
export async function writeMetrics(folder: string, metrics: RunMetrics): Promise<void> {
  await writeJsonFile(join(folder, "metrics.json"), metrics);
}

/** Writes `pictures.json`. */
export async function writePictures(folder: string, pictures: RunPictures): Promise<void> {
  await writeJsonFile(join(folder, "pictures.json"), pictures);
}

/** Pictures of a run; only those that are what {@link writePictures} writes, for a page shows them as they are. */
async function readPictures(path: string): Promise<RunPictures | null> {
  if (!(await isThere(path))) return null;
  const found = await readJsonFile<Partial<RunPictures>>(path);
  const pictures = (found.pictures ?? []).filter(
    ({ src, lines }) => /^data:image\/(?:png|jpeg);base64,[\w+/]+=*$/.test(src) && Array.isArray(lines),
  );
  return { split: String(found.split ?? ""), title: String(found.title ?? ""), pictures };
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
 * Reads a run, also one that is not finished: what it would leave in `metrics.json` is then taken from its log, and it counts
 * as interrupted. What an older run did not write is filled in.
 * @param folder output folder of the run, or its `metrics.json`
 * @throws CommandError `E_RUN` for a folder that holds none, with the way out; FileError for a file that cannot be read
 */
export async function readRun(folder: string): Promise<Run> {
  const place = basename(folder) === "metrics.json" ? dirname(folder) : folder;
  const at = (name: string) => join(place, name);
  const isFinished = await isThere(at("metrics.json"));
  if (!isFinished && !(await isThere(at("log.jsonl")))) throw await noRun(place);
  const recipe = (await isThere(at("recipe.yaml"))) ? parse(await readFile(at("recipe.yaml"), "utf8")) : {};
  const keys = (recipe ?? {}) as Record<string, unknown>;
  const log = (await linesOf<Run["log"][number]>(at("log.jsonl"))).filter((entry) => "step" in entry);
  const given = isFinished ? await readJsonFile<Partial<RunMetrics>>(at("metrics.json")) : {};
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new CommandError("E_RUN", `${at("metrics.json")} holds no figures of a run. Run it again.`);
  const predictions: Run["predictions"] = {};
  for (const split of SPLITS) {
    const rows = await linesOf<Prediction>(at(`predictions-${split}.jsonl`));
    if (rows.length > 0) predictions[split] = rows;
  }
  return {
    name: basename(resolve(place)),
    folder: place,
    metrics: { ...fromLog(place, keys, log, isFinished), ...given },
    recipe: keys,
    log,
    predictions,
    pictures: await readPictures(at("pictures.json")),
  };
}

/**
 * Reads several runs. A folder that is no run, but holds some, stands for those; runs whose folders have the same name are
 * told apart by as much of their paths as that takes.
 * @throws CommandError `E_RUN` for a folder that holds none
 */
export async function readRuns(folders: readonly string[]): Promise<Run[]> {
  const places: string[] = [];
  for (const folder of folders) {
    const inside = (await isRun(folder)) ? [] : await runsIn(folder);
    for (const place of inside.length > 0 ? inside : [folder])
      if (!places.some((other) => resolve(other) === resolve(place))) places.push(place);
  }
  const runs = await Promise.all(places.map(readRun));
  return runs.map((run) => ({ ...run, name: nameAmong(run.folder, places) }));
}

/** The last parts of a path that no other of the paths ends with. */
function nameAmong(folder: string, all: readonly string[]): string {
  const parts = resolve(folder).split(/[\\/]/);
  const tail = (path: string, count: number) => resolve(path).split(/[\\/]/).slice(-count).join("/");
  for (let count = 1; count < parts.length; count++) {
    const name = tail(folder, count);
    if (all.every((other) => resolve(other) === resolve(folder) || tail(other, count) !== name)) return name;
  }
  return folder;
}

async function isRun(folder: string): Promise<boolean> {
  return (await isThere(join(folder, "metrics.json"))) || (await isThere(join(folder, "log.jsonl")));
}

/** Runs one level below a folder. */
async function runsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries.filter((e) => e.isDirectory()).sort((a, b) => a.name.localeCompare(b.name)))
    if (await isRun(join(folder, entry.name))) found.push(join(folder, entry.name));
  return found;
}

/** What is wrong with a folder that is no run, and what to do. */
async function noRun(folder: string): Promise<CommandError> {
  const say = (message: string) => new CommandError("E_RUN", `${folder}: ${message}`);
  if (!(await isThere(folder)))
    return say("there is no such folder. Runs are in runs/ unless --output-dir said otherwise.");
  if (/^checkpoint-\d+/.test(basename(resolve(folder))) && (await isRun(dirname(resolve(folder)))))
    return say(`this is a checkpoint. Give the folder of its run: ${dirname(folder)}`);
  const inside = await runsIn(folder);
  if (inside.length > 0)
    return say(`this is no run, but it holds ${inside.length}. Give one of them: ${inside.join(", ")}`);
  return say(
    "this is no run: it has neither metrics.json nor log.jsonl. Give the output folder of wgrad train or wgrad lab.",
  );
}

/** What can be known of a run without its `metrics.json`. */
function fromLog(folder: string, recipe: Run["recipe"], log: Run["log"], isFinished: boolean): RunMetrics {
  const evaluations = log.filter((entry) => "eval_loss" in entry);
  return {
    lab: typeof recipe.lab === "string" ? recipe.lab : "train",
    interrupted: !isFinished,
    output_dir: folder,
    global_step: log.at(-1)?.step ?? 0,
    epochs: evaluations.map((entry, i) => ({
      epoch: entry.epoch,
      ...meanLoss(log, evaluations[i - 1]?.step ?? 0, entry.step),
      ...Object.fromEntries(
        ["eval_loss", "eval_accuracy", "eval_top5_accuracy", "eval_precision", "eval_recall", "eval_f1"]
          .filter((name) => name in entry)
          .map((name) => [name === "eval_loss" ? name : name.slice("eval_".length), entry[name]!]),
      ),
    })),
    validation: evaluations.at(-1) ?? null,
    test: null,
    training: {},
    parameters: null,
    best: null,
    labels: [],
    machine: {},
  };
}

/** Mean training loss of the steps after the first up to the last; each entry holds the mean since the one before. */
function meanLoss(log: Run["log"], after: number, last: number): Record<string, number> {
  let sum = 0;
  let before = after;
  for (const { loss, step } of log) {
    if (loss === undefined || step <= after || step > last) continue;
    sum += loss * (step - before);
    before = step;
  }
  return before > after ? { train_loss: sum / (before - after) } : {};
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** The JSON lines of a file; none if there is no such file. A last line that is half written, by a run that goes on, is left out. */
async function linesOf<T>(path: string): Promise<T[]> {
  if (!(await isThere(path))) return [];
  const lines = (await readFile(path, "utf8")).split("\n");
  return lines.flatMap((line, i): T[] => {
    if (line.trim() === "") return [];
    const value = parseLine(line);
    if (value !== undefined) return [value as T];
    if (i === lines.length - 1) return [];
    throw new CommandError("E_RUN", `${path}: line ${i + 1} is no JSON. Remove the line.`);
  });
}

/** Undefined for what is no JSON. Python writes NaN and Infinity, which become null. */
function parseLine(line: string): unknown {
  for (const text of [line, line.replace(/(?<=[:,[]\s*)(?:NaN|-?Infinity)(?=\s*[,}\]])/g, "null")]) {
    try {
      return JSON.parse(text);
    } catch {}
  }
  return undefined;
}
