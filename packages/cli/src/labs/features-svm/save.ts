import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "@wgrad/models/node";
import { toSnakeCase } from "@wgrad/trainer";
import { stringify } from "yaml";
import { type Prediction, type RunMetrics, writeMetrics, writePredictions } from "../../runs/run-folder.js";
import { machine } from "../../training/monitor.js";
import type { StoredFeatures } from "./cache.js";
import { bestOf, type Classified } from "./classify.js";
import type { Role } from "./features.js";
import { formatClassifiers, formatReport } from "./show.js";

/** What a run is made of. */
export interface FeaturesRun {
  folder: string;
  /** The lab or verb, and its settings. */
  lab: string;
  settings: Readonly<Record<string, unknown>>;
  splits: ReadonlyMap<Role, StoredFeatures>;
  /** Null where they are not known: features alone are not told what they are of. */
  texts: ReadonlyMap<Role, readonly string[]> | null;
  classified: readonly Classified[];
}

/**
 * Writes a run: `recipe.yaml`, `metrics.json` with a row a classifier, `reports.txt` with scikit-learn's report of each, and the
 * predictions of the best by validation.
 * @returns what `metrics.json` holds
 */
export async function saveFeaturesRun(run: FeaturesRun): Promise<RunMetrics> {
  const { folder, splits, classified, settings } = run;
  await mkdir(folder, { recursive: true });
  const best = bestOf(classified);
  const train = splits.get("train")!;
  const all = [...splits.values()];
  const figures = (role: Role, prefix: string) => {
    const of = best.result.splits[role];
    return of
      ? Object.fromEntries(Object.entries(of).map(([name, value]) => [`${prefix}_${name}`, value]))
      : null;
  };
  const seconds = all.reduce((sum, split) => sum + split.seconds, 0);
  const fitting = classified.reduce((sum, { result }) => sum + result.fit_seconds, 0);
  const metrics: RunMetrics = {
    lab: run.lab,
    interrupted: false,
    output_dir: folder,
    global_step: 0,
    epochs: [],
    validation: figures("validation", "eval"),
    test: figures("test", "test"),
    training: {
      train_runtime: seconds + fitting,
      features_runtime: seconds,
      fit_runtime: fitting,
      examples: all.reduce((sum, split) => sum + split.rows, 0),
      tokens_seen: all.reduce((sum, split) => sum + split.tokens, 0),
    },
    parameters: { trainable: best.result.parameters, all: train.parameters + best.result.parameters },
    best: null,
    labels: [...train.labelNames],
    classifiers: classified.map(({ result }) => result),
    machine: machine({ description: train.adapter }),
  };
  const reports = classified.map((one) => formatReport(one, train.labelNames));
  await writeFileAtomic(
    join(folder, "reports.txt"),
    `${[formatClassifiers(classified), ...reports].join("\n\n")}\n`,
  );
  for (const role of ["validation", "test"] as const) {
    const rows = predictionsOf(best, role, run);
    if (rows) await writePredictions(folder, role, rows);
  }
  const recipe = Object.fromEntries(
    Object.entries(settings)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [toSnakeCase(name), value]),
  );
  await writeFileAtomic(
    join(folder, "recipe.yaml"),
    `# Written by wgrad. The features are in features/.\n${stringify({ lab: run.lab, ...recipe })}`,
  );
  await writeMetrics(folder, metrics);
  return metrics;
}

/** The best classifier's predictions of a split; null where the split or its texts are not there. */
function predictionsOf(best: Classified, role: Role, { splits, texts }: FeaturesRun): Prediction[] | null {
  const output = best.outputs.get(role);
  const split = splits.get(role);
  const own = texts?.get(role);
  if (!output || !split || !own) return null;
  const count = split.labelNames.length;
  return own.map((text, i) => {
    const logits = [...output.logits.subarray(i * count, (i + 1) * count)];
    const label = split.labels[i]! < 0 ? null : split.labels[i]!;
    return {
      text,
      label,
      prediction: output.predictions[i]!,
      logits,
      loss: label === null ? null : crossEntropy(logits, label),
    };
  });
}

function crossEntropy(logits: readonly number[], label: number): number {
  const most = Math.max(...logits);
  return Math.log(logits.reduce((sum, z) => sum + Math.exp(z - most), 0)) + most - logits[label]!;
}
