import type { ClassifierResult, Run } from "../runs/run-folder.js";

/** A run, or a classifier of one, as a comparison shows it. Null where the run does not say. */
export interface ComparisonRow {
  name: string;
  /** Folder of the run. */
  folder: string;
  lab: string;
  isInterrupted: boolean;
  test_accuracy: number | null;
  /** Share whose class is among the five most likely ones; null where that was not measured. */
  test_top5_accuracy: number | null;
  /** Weighted by the size of the classes. */
  test_f1: number | null;
  /** Of the last evaluation. */
  validation_accuracy: number | null;
  validation_loss: number | null;
  best_epoch: number | null;
  /** What is best in that epoch, such as `accuracy`, and its value. */
  best_metric: string | null;
  best_value: number | null;
  trainable_parameters: number | null;
  steps: number | null;
  train_seconds: number | null;
  /** Buffers of the adapter. */
  peak_memory_bytes: number | null;
  adapter: string | null;
}

/** A row for each run, and for each classifier of a run on frozen features. */
export function comparisonRows(runs: readonly Run[]): ComparisonRow[] {
  return runs.flatMap((run) => {
    const { classifiers } = run.metrics;
    return classifiers && classifiers.length > 0
      ? classifiers.map((classifier) => rowOfClassifier(run, classifier))
      : [rowOfRun(run)];
  });
}

function rowOfRun(run: Run): ComparisonRow {
  const { metrics } = run;
  const best = bestEpoch(run);
  return {
    ...rowOf(run),
    test_accuracy: figure(metrics.test?.test_accuracy),
    test_top5_accuracy: figure(metrics.test?.test_top5_accuracy),
    test_f1: figure(metrics.test?.test_f1),
    validation_accuracy: figure(metrics.validation?.eval_accuracy),
    validation_loss: figure(metrics.validation?.eval_loss),
    best_epoch: best?.epoch ?? null,
    best_metric: best?.metric ?? null,
    best_value: best?.value ?? null,
    trainable_parameters: figure(metrics.parameters?.trainable),
    steps: figure(metrics.global_step),
    train_seconds: figure(metrics.training?.train_runtime),
  };
}

function rowOfClassifier(
  run: Run,
  { features, classifier, splits, ...result }: ClassifierResult,
): ComparisonRow {
  return {
    ...rowOf(run),
    name: `${run.name}: ${features} ${classifier}`,
    test_accuracy: figure(splits.test?.accuracy),
    test_f1: figure(splits.test?.f1),
    validation_accuracy: figure(splits.validation?.accuracy),
    trainable_parameters: figure(result.parameters),
    train_seconds: figure(result.fit_seconds),
  };
}

/** What a run and its classifiers share. */
function rowOf({ name, folder, metrics }: Run): ComparisonRow {
  const { adapter } = metrics.machine ?? {};
  return {
    name,
    folder,
    lab: metrics.lab,
    isInterrupted: metrics.interrupted,
    test_accuracy: null,
    test_top5_accuracy: null,
    test_f1: null,
    validation_accuracy: null,
    validation_loss: null,
    best_epoch: null,
    best_metric: null,
    best_value: null,
    trainable_parameters: null,
    steps: null,
    train_seconds: null,
    peak_memory_bytes: figure(metrics.training?.peak_memory_bytes),
    adapter: typeof adapter === "string" ? adapter : null,
  };
}

/** The best epoch as the run chose it; where it did not, that of the largest validation accuracy, else of the least loss. */
export function bestEpoch({ metrics }: Run): { epoch: number; metric: string; value: number } | null {
  if (metrics.best) return metrics.best;
  const having = (name: string) => (metrics.epochs ?? []).filter((row) => figure(row[name]) !== null);
  const accurate = having("accuracy");
  if (accurate.length > 0) {
    const best = accurate.reduce((a, b) => (b.accuracy! > a.accuracy! ? b : a));
    return { epoch: best.epoch!, metric: "accuracy", value: best.accuracy! };
  }
  const measured = having("eval_loss");
  if (measured.length === 0) return null;
  const best = measured.reduce((a, b) => (b.eval_loss! < a.eval_loss! ? b : a));
  return { epoch: best.epoch!, metric: "loss", value: best.eval_loss! };
}

/** Keys whose values say nothing of how a run was trained. */
const OF_ITSELF = new Set(["output_dir", "run_name", "logging_dir", "overwrite_output_dir", "lab"]);

/** A setting that is not the same in all runs: its values in the order of the runs, null where a run does not have it. */
export interface DifferingSetting {
  name: string;
  values: (string | null)[];
}

/**
 * The settings of the recipes that differ, nested ones as `peft.r`. One that a lab alone has, or an older run did not write, is no
 * difference; those of an adapter are, where the others have none.
 */
export function differingSettings(runs: readonly Run[]): DifferingSetting[] {
  const recipes = runs.map(({ recipe }) => new Map(flatten(recipe)));
  const names = [...new Set(recipes.flatMap((recipe) => [...recipe.keys()]))];
  return names
    .filter((name) => !OF_ITSELF.has(name))
    .map((name) => ({ name, values: recipes.map((recipe) => recipe.get(name) ?? null) }))
    .filter(({ name, values }) => {
      const given = values.filter((value) => value !== null);
      return new Set(given).size > 1 || (name.includes(".") && given.length < values.length);
    });
}

/** Names and values of a recipe or another nested record, as text: `peft.r`, `2e-5`. */
export function flatten(
  record: Readonly<Record<string, unknown>>,
  prefix = "",
): [name: string, value: string][] {
  return Object.entries(record).flatMap(([key, value]): [string, string][] => {
    const name = `${prefix}${key}`;
    if (value === null || value === undefined) return [];
    if (Array.isArray(value)) {
      const isFlat = value.every((inner) => typeof inner !== "object" || inner === null);
      return [[name, isFlat ? value.join(", ") : JSON.stringify(value)]];
    }
    if (typeof value === "object") return flatten(value as Record<string, unknown>, `${name}.`);
    return [[name, typeof value === "number" ? shortNumber(value) : String(value)]];
  });
}

/** As people write it: `5e-5` for 0.00005. */
function shortNumber(value: number): string {
  const isSmall = value !== 0 && Math.abs(value) < 1e-3;
  return isSmall ? value.toExponential() : String(value);
}

/** A finite number or null; what was not finite is null in JSON. */
function figure(value: number | null | undefined): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
