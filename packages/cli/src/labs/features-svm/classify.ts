import { LinearSVC, LogisticRegression, StandardScaler, SVC } from "@wgrad/estimators";
import { confusionMatrix, perClassMetrics } from "@wgrad/trainer";
import { UsageError } from "../../errors.js";
import type { ClassifierResult } from "../../runs/run-folder.js";
import type { Ui } from "../../ui.js";
import type { StoredFeatures } from "./cache.js";
import { ROLES, type Role } from "./features.js";

/** How the classifiers are set. */
export interface ClassifierSettings {
  /** Names of {@link FEATURES}. */
  features: readonly string[];
  /** Names of {@link CLASSIFIERS}. */
  classifiers: readonly string[];
  /** C of each */
  c: number;
  gamma: string;
  maxIter: number;
  standardize: boolean;
  seed: number;
}

/** What is taken of the encoder. */
export const FEATURES = ["cls", "mean"] as const;
type FeatureName = (typeof FEATURES)[number];

type Estimator = LinearSVC | SVC | LogisticRegression;

interface Entry {
  /** As tables show it. */
  title: string;
  /** Whether what it learns is one vector for two classes, whatever the number of examples. */
  isLinear: boolean;
  make(settings: ClassifierSettings, onWarning: (message: string) => void): Estimator;
}

/** MB for rows of the kernel matrix: all of them up to 16,000 examples. */
const CACHE_MB = 1000;

const svc = (kernel: "linear" | "rbf"): Entry => ({
  title: `SVC(kernel=${kernel})`,
  isLinear: kernel === "linear",
  make: ({ c: C, gamma }, onWarning) =>
    new SVC({ kernel, C, gamma: gammaOf(gamma), cacheSize: CACHE_MB, onWarning }),
});

/** Every classifier, by the name it has in a recipe. */
export const CLASSIFIERS: Readonly<Record<string, Entry>> = {
  "linear-svc": {
    title: "LinearSVC",
    isLinear: true,
    make: ({ c: C, maxIter, seed }, onWarning) => new LinearSVC({ C, maxIter, randomState: seed, onWarning }),
  },
  "svc-linear": svc("linear"),
  "svc-rbf": svc("rbf"),
  "logistic-regression": {
    title: "LogisticRegression",
    isLinear: true,
    make: ({ c: C, maxIter }, onWarning) => new LogisticRegression({ C, maxIter, onWarning }),
  },
};

function gammaOf(text: string): number | "scale" | "auto" {
  if (text === "scale" || text === "auto") return text;
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--gamma ${text}: expected scale, auto or a number over 0.`);
  return value;
}

/** A classifier that was fitted, and what it made of each split. */
export interface Classified {
  result: ClassifierResult & { confusion: Record<string, number[][]>; warnings: string[] };
  /** By split: the class of each example, and logits [N, K] whose softmax says how sure that is. */
  outputs: Map<Role, { predictions: Int32Array; logits: Float64Array }>;
}

/** @throws UsageError for a name or a number that makes no sense */
export function checkClassifierSettings(settings: ClassifierSettings): void {
  const { features, classifiers, c, maxIter, gamma } = settings;
  expectNames("--features", features, FEATURES);
  expectNames("--classifiers", classifiers, Object.keys(CLASSIFIERS));
  if (!(c > 0)) throw new UsageError(`--c is ${c}, expected a number over 0.`);
  if (!Number.isInteger(maxIter) || maxIter < 1)
    throw new UsageError(`--max-iter is ${maxIter}, expected a whole number from 1 on.`);
  gammaOf(gamma);
}

function expectNames(flag: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((name) => !known.includes(name));
  if (unknown !== undefined || given.length === 0) {
    throw new UsageError(
      `${flag} ${unknown ?? ""}: expected some of ${known.join(", ")}, with commas between.`,
    );
  }
}

/** Fits every classifier on every kind of features of `train`, and measures it on all splits. */
export async function classify(
  splits: ReadonlyMap<Role, StoredFeatures>,
  settings: ClassifierSettings,
  ui: Ui,
): Promise<Classified[]> {
  const done: Classified[] = [];
  const total = settings.features.length * settings.classifiers.length;
  for (const kind of settings.features as readonly FeatureName[]) {
    const data = matricesOf(splits, kind, settings.standardize);
    for (const name of settings.classifiers) {
      ui.status(`Fitting ${CLASSIFIERS[name]!.title} on ${kind} (${done.length + 1} of ${total})`);
      // Between two fits there is time for Ctrl-C.
      await new Promise((resolve) => setImmediate(resolve));
      done.push(interruptible(() => classifyOne(splits, data, kind, CLASSIFIERS[name]!, settings)));
      for (const warning of done.at(-1)!.result.warnings)
        ui.note(`${kind} ${CLASSIFIERS[name]!.title}: ${warning}`);
    }
  }
  ui.done();
  return done;
}

type Matrices = ReadonlyMap<Role, { data: Float32Array | Float64Array; rows: number; columns: number }>;

function matricesOf(
  splits: ReadonlyMap<Role, StoredFeatures>,
  kind: FeatureName,
  standardize: boolean,
): Matrices {
  const raw = new Map(
    [...splits].map(([role, f]) => [role, { data: f[kind], rows: f.rows, columns: f.columns }]),
  );
  if (!standardize) return raw;
  const scaler = new StandardScaler().fit(raw.get("train")!);
  return new Map([...raw].map(([role, matrix]) => [role, scaler.transform(matrix)]));
}

function classifyOne(
  splits: ReadonlyMap<Role, StoredFeatures>,
  matrices: Matrices,
  kind: FeatureName,
  { title, isLinear, make }: Entry,
  settings: ClassifierSettings,
): Classified {
  const warnings: string[] = [];
  const estimator = make(settings, (message) => warnings.push(message));
  const began = performance.now();
  estimator.fit(matrices.get("train")!, splits.get("train")!.labels);
  const fitSeconds = (performance.now() - began) / 1000;
  const names = splits.get("train")!.labelNames;
  const confusion: Record<string, number[][]> = {};
  const figures: Record<string, Record<string, number>> = {};
  const outputs: Classified["outputs"] = new Map();
  for (const role of ROLES) {
    const matrix = matrices.get(role);
    if (!matrix) continue;
    const decisions = estimator.decisionFunction(matrix);
    const predictions = predictionsOf(estimator, matrix, decisions);
    outputs.set(role, { predictions, logits: logitsOf(estimator.classes_, decisions, names.length) });
    const { labels } = splits.get(role)!;
    if (labels.some((label) => label < 0)) continue;
    confusion[role] = confusionMatrix(labels, predictions, names.length);
    figures[role] = figuresOf(confusion[role]);
  }
  return {
    result: {
      features: kind,
      classifier: title,
      fit_seconds: fitSeconds,
      parameters: parametersOf(estimator, isLinear),
      splits: figures,
      confusion,
      warnings,
    },
    outputs,
  };
}

/** The classes; of two, what was decided already says which. */
function predictionsOf(
  estimator: Estimator,
  matrix: Parameters<Estimator["predict"]>[0],
  decisions: Float64Array,
): Int32Array {
  const classes = estimator.classes_;
  if (classes.length > 2) return estimator.predict(matrix);
  return Int32Array.from(decisions, (value) => classes[value > 0 ? 1 : 0]!);
}

/** [N, K], the places of classes that were not learnt at −1e9; of two classes the first has 0, as in a logistic regression. */
function logitsOf(classes: Int32Array, decisions: Float64Array, count: number): Float64Array {
  const width = classes.length === 2 ? 1 : classes.length;
  const out = new Float64Array((decisions.length / width) * count).fill(-1e9);
  for (let i = 0; i * width < decisions.length; i++) {
    classes.forEach((c, k) => {
      out[i * count + c] = width === 1 ? k * decisions[i]! : decisions[i * width + k]!;
    });
  }
  return out;
}

/** Accuracy, and averages weighted by the size of the classes. */
function figuresOf(confusion: readonly (readonly number[])[]): Record<string, number> {
  const classes = perClassMetrics(confusion);
  const total = classes.reduce((sum, c) => sum + c.support, 0);
  const weighted = (key: "precision" | "recall" | "f1") =>
    classes.reduce((sum, c) => sum + c[key] * c.support, 0) / total;
  return {
    accuracy: confusion.reduce((sum, row, i) => sum + row[i]!, 0) / total,
    f1: weighted("f1"),
    precision: weighted("precision"),
    recall: weighted("recall"),
  };
}

/** Numbers that deciding needs: vectors and intercepts, or the support vectors with their weights. */
function parametersOf(estimator: Estimator, isLinear: boolean): number {
  if (isLinear || !(estimator instanceof SVC))
    return estimator.coef_.data.length + estimator.intercept_.length;
  const { rows, columns } = estimator.supportVectors_;
  return rows * (columns + estimator.dualCoef_.rows) + estimator.intercept_.length;
}

/** A fit is one long computation, in which no handler would run: meanwhile Ctrl-C is the system's, which ends the process. */
export function interruptible<T>(body: () => T): T {
  const signals = ["SIGINT", "SIGTERM"] as const;
  const handlers = signals.map((signal) => process.listeners(signal));
  for (const signal of signals) process.removeAllListeners(signal);
  try {
    return body();
  } finally {
    signals.forEach((signal, i) => {
      for (const handler of handlers[i]!) process.on(signal, handler);
    });
  }
}

/** The classifier that is right most often in validation; where there is none, in training. The first of equals. */
export function bestOf(classified: readonly Classified[]): Classified {
  const score = ({ result }: Classified) => (result.splits.validation ?? result.splits.train)!.accuracy!;
  return classified.reduce((best, next) => (score(next) > score(best) ? next : best));
}
