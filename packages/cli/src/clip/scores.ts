/** How well logits tell the classes of examples: what zero-shot and probes are measured by. */
import { confusionMatrix } from "@wgrad/trainer";
import { uniqueNames } from "../report/data.js";
import { type ClassificationReport, classificationReport } from "../text/classification-report.js";

/** Figures of a split. */
export interface Scores {
  /** Examples that have a class. */
  examples: number;
  accuracy: number;
  /** Share whose class is among the five of the highest logits; left out with five classes or fewer. */
  top5: number | null;
  /** Mean cross entropy of the logits. */
  loss: number;
  report: ClassificationReport;
  /** counts[truth][predicted] */
  confusion: number[][];
}

/** Products of unit vectors times a scale: `scale · images · textsᵀ`. @param images [N, D] @param texts [K, D] @returns [N, K] */
export function similarityLogits(
  images: Float32Array,
  texts: Float32Array,
  columns: number,
  scale: number,
): Float32Array {
  const [rows, classes] = [images.length / columns, texts.length / columns];
  const out = new Float32Array(rows * classes);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < classes; k++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += images[i * columns + j]! * texts[k * columns + j]!;
      out[i * classes + k] = scale * sum;
    }
  }
  return out;
}

/** Rows divided by their lengths. A row of zeros stays one. @param values [N, D] */
export function unitRows(values: Float32Array, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let begin = 0; begin < values.length; begin += columns) {
    let sum = 0;
    for (let j = begin; j < begin + columns; j++) sum += values[j]! * values[j]!;
    const scale = sum > 0 ? 1 / Math.sqrt(sum) : 0;
    for (let j = begin; j < begin + columns; j++) out[j] = values[j]! * scale;
  }
  return out;
}

/**
 * What a class looks like by several prompts: the mean of their unit vectors, of unit length itself (OpenAI's ensemble).
 * @param features [T · K, D], not normalised, the prompts of the first template first
 * @returns [K, D]
 */
export function ensembleOf(features: Float32Array, columns: number, templates: number): Float32Array {
  const unit = unitRows(features, columns);
  if (templates === 1) return unit;
  const size = features.length / templates;
  const mean = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let t = 0; t < templates; t++) sum += unit[t * size + i]!;
    mean[i] = sum / templates;
  }
  return unitRows(mean, columns);
}

/** Classes with the highest values, best first; of equals the first. @param values [K] */
export function topClasses(values: ArrayLike<number>, count: number): number[] {
  const order = Array.from({ length: values.length }, (_, i) => i);
  return order.sort((a, b) => values[b]! - values[a]! || a - b).slice(0, count);
}

/** Probabilities of logits. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i]!);
  const powers = Float64Array.from(logits, (z) => Math.exp(z - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

/** Cross entropy of a class. */
export function crossEntropy(logits: ArrayLike<number>, label: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i]!);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - most);
  return Math.log(sum) + most - logits[label]!;
}

/** The class of the largest logit of each row; of equals the first. */
export function predictionsOf(logits: ArrayLike<number>, classes: number): Int32Array {
  const out = new Int32Array(logits.length / classes);
  for (let i = 0; i < out.length; i++) {
    let best = 0;
    for (let k = 1; k < classes; k++) if (logits[i * classes + k]! > logits[i * classes + best]!) best = k;
    out[i] = best;
  }
  return out;
}

/**
 * Accuracy, top-5, loss and scikit-learn's report of logits.
 * @param logits [N, K]
 * @param labels [N]; examples below 0 have no class and are left out
 * @returns null where no example has one
 */
export function scoresOf(
  logits: Float32Array | Float64Array,
  labels: Int32Array,
  names: readonly string[],
): Scores | null {
  const classes = names.length;
  const rows = Array.from(labels.keys()).filter((i) => labels[i]! >= 0);
  if (rows.length === 0) return null;
  const predictions = predictionsOf(logits, classes);
  let loss = 0;
  let among = 0;
  for (const i of rows) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const label = labels[i]!;
    loss += crossEntropy(row, label);
    // How many are before it says its place, without sorting.
    let before = 0;
    for (let k = 0; k < classes; k++)
      if (row[k]! > row[label]! || (row[k] === row[label] && k < label)) before++;
    if (before < 5) among++;
  }
  const confusion = confusionMatrix(
    Int32Array.from(rows, (i) => labels[i]!),
    Int32Array.from(rows, (i) => predictions[i]!),
    classes,
  );
  const report = classificationReport(confusion, uniqueNames(names));
  return {
    examples: rows.length,
    accuracy: report.accuracy,
    top5: classes > 5 ? among / rows.length : null,
    loss: loss / rows.length,
    report,
    confusion,
  };
}

/** Figures for `metrics.json`, with a prefix as `eval_` or `test_`. */
export function figuresOf({ accuracy, top5, loss, report }: Scores, prefix: string): Record<string, number> {
  const { precision, recall, f1 } = report.weightedAvg;
  const figures = {
    loss,
    accuracy,
    ...(top5 === null ? {} : { top5_accuracy: top5 }),
    precision,
    recall,
    f1,
  };
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${prefix}${name}`, value]));
}
