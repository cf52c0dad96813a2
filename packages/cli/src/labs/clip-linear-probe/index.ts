/** Lab: logistic regression on what a frozen CLIP sees. */
import { join } from "node:path";
import { LogisticRegression, StandardScaler } from "@wgrad/estimators";
import { writeFileAtomic } from "@wgrad/models/node";
import { collectFeatures } from "../../clip/collect.js";
import { type Judged, predictionRows, saveGrid, subjectOf, writeRecipe } from "../../clip/save.js";
import { figuresOf, type Scores, scoresOf, unitRows } from "../../clip/scores.js";
import { CLIP_SETTINGS, type ClipLabSettings, clipLabSettings } from "../../clip/settings.js";
import { openSplits, ROLES, type Role } from "../../clip/splits.js";
import type { StoredImages } from "../../clip/store.js";
import { CommandError, UsageError } from "../../errors.js";
import {
  type ClassifierResult,
  type RunMetrics,
  writeMetrics,
  writePredictions,
} from "../../runs/run-folder.js";
import { formatClassificationReport } from "../../text/classification-report.js";
import { formatTable } from "../../text/table.js";
import { machine } from "../../training/monitor.js";
import { flagOf } from "../../training/settings.js";
import { formatSeconds, type Ui } from "../../ui.js";
import { interruptible } from "../features-svm/classify.js";
import type { Lab, LabContext } from "../lab.js";

const PROBE = "Linear probe:";

/** What the probe sees, and C where nobody says. Pooled numbers are of any size and are standardised; projected ones are of length 1. */
const KINDS = { pooled: 0.1, projected: 10 } as const;
type Kind = keyof typeof KINDS;

export const lab: Lab = {
  name: "clip-linear-probe",
  summary: "logistic regression on the features of a frozen CLIP",
  settings: [
    ...CLIP_SETTINGS,
    {
      name: "features",
      kind: "list",
      group: PROBE,
      help: "what it sees: pooled, the class token before the projection, standardised; projected, of length 1",
      default: ["pooled"],
    },
    {
      name: "c",
      kind: "number",
      group: PROBE,
      help: "C, the cost of an error (default: 0.1 of pooled, 10 of projected features)",
    },
    { name: "maxIter", kind: "number", group: PROBE, help: "most iterations of L-BFGS", default: 200 },
    { name: "gridSize", kind: "number", group: PROBE, help: "pictures of the grid", default: 40 },
  ],
  examples: [
    ["wgrad lab clip-linear-probe", "CLIP ViT-B/16 on Tiny ImageNet, both from the hub"],
    [
      "wgrad lab clip-linear-probe --dataset my-pictures --test-size 0.2",
      "folders of pictures, a folder a class",
    ],
    ["wgrad lab clip-linear-probe --features pooled,projected --c 1", "both kinds of features, another C"],
  ],
  run: runLab,
};

interface ProbeSettings extends ClipLabSettings {
  features: readonly Kind[];
  c: number | null;
  maxIter: number;
  gridSize: number;
}

function probeSettings(settings: Readonly<Record<string, unknown>>, offline: boolean): ProbeSettings {
  const given = {
    ...(settings as unknown as ProbeSettings),
    ...clipLabSettings(settings, offline, "runs/clip-linear-probe"),
    c: (settings.c ?? null) as number | null,
  };
  const unknown = given.features.find((kind) => !Object.hasOwn(KINDS, kind));
  if (unknown !== undefined || given.features.length === 0)
    throw new UsageError(
      `--features ${unknown ?? ""}: expected some of ${Object.keys(KINDS).join(", ")}, with commas between.`,
    );
  if (given.c !== null && !(given.c > 0))
    throw new UsageError(`--c is ${given.c}, expected a number over 0.`);
  for (const [name, least] of [
    ["maxIter", 1],
    ["gridSize", 0],
  ] as const)
    if (!Number.isInteger(given[name]) || given[name] < least)
      throw new UsageError(`${flagOf(name)} is ${given[name]}, expected a whole number from ${least} on.`);
  return given;
}

/** A split with its features. */
interface ProbeSplit {
  role: Role;
  source: Judged["source"];
  images: StoredImages;
  /** [N]; -1 where there is no class or no picture */
  labels: Int32Array;
}

/** A probe that was fitted, and what it makes of each split. */
interface Probe {
  result: ClassifierResult;
  scores: Map<Role, Scores>;
  judged: Map<Role, Judged>;
}

async function runLab({ settings, offline, ui }: LabContext): Promise<unknown> {
  const own = probeSettings(settings, offline);
  const { splits: opened, names } = await openSplits({ ...own, allowIds: true }, ROLES, ui);
  if (opened[0]?.role !== "train")
    throw new CommandError(
      "E_SPLIT",
      `${own.dataset}: there is no split "${own.trainSplit}" to learn from. Name it with --train-split.`,
    );
  const sources = opened.map(({ source }) => source);
  const collected = await collectFeatures(own, { prompts: null, sources }, ui);
  const splits = opened.map(({ role, source }): ProbeSplit => {
    const images = collected.images.get(source.name)!;
    return {
      role,
      source,
      images,
      labels: source.labels.map((label, i) => (images.ok[i] === 1 ? label : -1)),
    };
  });
  const probes: Probe[] = [];
  for (const kind of own.features) {
    // Between two fits there is time for Ctrl-C.
    await new Promise((resolve) => setImmediate(resolve));
    probes.push(interruptible(() => fitProbe(splits, kind, own, names, ui)));
  }
  ui.done();
  ui.result(formatProbes(probes));
  const best = bestOf(probes);
  const folder = own.outputDir;
  const metrics = await save(folder, settings, own, { probes, best, splits, names });
  ui.result(
    `\nSaved in ${folder}: metrics.json, report.txt${own.gridSize > 0 ? ", grid.html, grid.png" : ""}, predictions-*.jsonl of ${best.result.features}, recipe.yaml\n` +
      `As a page: wgrad report ${folder}`,
  );
  return metrics;
}

/** Features of a split as the probe sees them, [N, D] in f64. */
function matrixOf({ images }: ProbeSplit, kind: Kind): { data: Float32Array; rows: number; columns: number } {
  const columns = images.columns[kind];
  const data = kind === "projected" ? unitRows(images.projected, columns) : images.pooled;
  return { data, rows: images.rows, columns };
}

function fitProbe(
  splits: readonly ProbeSplit[],
  kind: Kind,
  { c, maxIter }: ProbeSettings,
  names: readonly string[],
  ui: Ui,
): Probe {
  const C = c ?? KINDS[kind];
  const train = splits[0]!;
  const all = matrixOf(train, kind);
  const known = Array.from(train.labels.keys()).filter((i) => train.labels[i]! >= 0);
  const rows = known.map((i) => all.data.subarray(i * all.columns, (i + 1) * all.columns));
  const scaler = kind === "pooled" ? new StandardScaler().fit(rows) : null;
  const classifier = new LogisticRegression({
    C,
    maxIter,
    onWarning: (message) => ui.note(`${kind}: ${message}`),
    onIteration: (iteration, value) =>
      ui.status(`Fitting on ${kind}: iteration ${iteration} of at most ${maxIter}, loss ${value.toFixed(4)}`),
  });
  const began = performance.now();
  classifier.fit(
    scaler ? scaler.transform(rows) : rows,
    known.map((i) => train.labels[i]!),
  );
  const seconds = (performance.now() - began) / 1000;
  ui.note(
    `${kind}: fitted on ${known.length} pictures in ${formatSeconds(seconds)}, ${classifier.nIter_} iterations`,
  );
  const scores: Probe["scores"] = new Map();
  const judged: Probe["judged"] = new Map();
  for (const split of splits) {
    const matrix = matrixOf(split, kind);
    const decisions = classifier.decisionFunction(scaler ? scaler.transform(matrix) : matrix);
    const logits = logitsOf(classifier.classes_, decisions, names.length);
    judged.set(split.role, { source: split.source, logits, labels: split.labels });
    const found = scoresOf(logits, split.labels, names);
    if (found) scores.set(split.role, found);
  }
  return {
    result: {
      features: `${kind} ${all.columns}`,
      classifier: `LogisticRegression C=${C}`,
      fit_seconds: seconds,
      parameters: classifier.coef_.data.length + classifier.intercept_.length,
      splits: Object.fromEntries([...scores].map(([role, found]) => [role, figuresOf(found, "")])),
    },
    scores,
    judged,
  };
}

/** [N, K] from what decides; classes that were not learnt have −1e9, of two classes the first has 0. */
function logitsOf(classes: Int32Array, decisions: Float64Array, count: number): Float64Array {
  const width = classes.length === 2 ? 1 : classes.length;
  const out = new Float64Array((decisions.length / width) * count).fill(-1e9);
  for (let i = 0; i * width < decisions.length; i++) {
    classes.forEach((label, k) => {
      out[i * count + label] = width === 1 ? k * decisions[i]! : decisions[i * width + k]!;
    });
  }
  return out;
}

/** The probe that is right most often in validation; where there is none, in training. The first of equals. */
function bestOf(probes: readonly Probe[]): Probe {
  const score = ({ scores }: Probe) => (scores.get("validation") ?? scores.get("train"))!.accuracy;
  return probes.reduce((best, next) => (score(next) > score(best) ? next : best));
}

function formatProbes(probes: readonly Probe[]): string {
  const roles = ROLES.filter((role) => probes.some(({ scores }) => scores.has(role)));
  const figure = (value: number | null | undefined) =>
    value === undefined || value === null ? "–" : value.toFixed(4);
  return formatTable(
    [
      "features",
      "classifier",
      ...roles.flatMap((role) => (role === "train" ? ["train acc"] : [`${role} acc`, "top-5", "F1"])),
      "fit",
    ],
    probes.map(({ result, scores }) => [
      result.features,
      result.classifier,
      ...roles.flatMap((role) => {
        const found = scores.get(role);
        const accuracy = figure(found?.accuracy);
        return role === "train"
          ? [accuracy]
          : [accuracy, figure(found?.top5), figure(found?.report.weightedAvg.f1)];
      }),
      formatSeconds(result.fit_seconds),
    ]),
    [0, 1],
  );
}

interface Made {
  probes: readonly Probe[];
  best: Probe;
  splits: readonly ProbeSplit[];
  names: readonly string[];
}

async function save(
  folder: string,
  settings: Readonly<Record<string, unknown>>,
  own: ProbeSettings,
  { probes, best, splits, names }: Made,
): Promise<RunMetrics> {
  const { parameters, adapter } = splits[0]!.images;
  const encoding = splits.reduce((sum, { images }) => sum + images.seconds, 0);
  const fitting = probes.reduce((sum, { result }) => sum + result.fit_seconds, 0);
  const figures = (role: Role, prefix: string) => {
    const found = best.scores.get(role);
    return found ? figuresOf(found, prefix) : null;
  };
  const metrics: RunMetrics = {
    lab: "clip-linear-probe",
    interrupted: false,
    output_dir: folder,
    global_step: 0,
    epochs: [],
    validation: figures("validation", "eval_"),
    test: figures("test", "test_"),
    training: {
      train_runtime: encoding + fitting,
      features_runtime: encoding,
      fit_runtime: fitting,
      images: splits.reduce((sum, { labels }) => sum + labels.length, 0),
    },
    parameters: { trainable: best.result.parameters, all: parameters + best.result.parameters },
    best: null,
    labels: [...names],
    classifiers: probes.map(({ result }) => result),
    machine: machine({ description: adapter }),
  };
  await writeRecipe(folder, "clip-linear-probe", { ...settings, outputDir: folder });
  const reports = [...best.scores]
    .filter(([role]) => role !== "train")
    .map(
      ([role, { report }]) => `${best.result.features}, ${role}:\n\n${formatClassificationReport(report)}`,
    );
  await writeFileAtomic(join(folder, "report.txt"), `${[formatProbes(probes), ...reports].join("\n\n")}\n`);
  for (const role of ["validation", "test"] as const) {
    const judged = best.judged.get(role);
    if (judged) await writePredictions(folder, role, predictionRows(judged, names.length));
  }
  const shown = splits.find(({ role }) => role !== "train");
  if (shown) {
    await saveGrid(folder, best.judged.get(shown.role)!, names, {
      title: `Linear probe: ${subjectOf(own.model, own.dataset)}`,
      count: own.gridSize,
      seed: own.seed,
      ok: shown.images.ok,
    });
  }
  await writeMetrics(folder, metrics);
  return metrics;
}
