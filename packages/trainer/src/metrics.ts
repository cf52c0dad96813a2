import { IGNORED_LABEL } from "./model-inputs.js";

/** What `computeMetrics` gets: the predictions of all examples and their labels. */
export interface EvalPrediction {
  /** [numExamples, numLabels], row-major; see `predictionsShape`. */
  predictions: Float32Array;
  /** Of a model that gives a value a token, [numExamples, T, …], filled up with -100. */
  predictionsShape?: readonly number[];
  /** [numExamples] class ids, or [numExamples, T] for token labels, filled up with -100. */
  labelIds: Int32Array;
  labelIdsShape?: readonly number[];
  numLabels: number;
  /** With `includeForMetrics: ["loss"]`: [numExamples], for each example the mean loss of its batch. */
  losses?: Float32Array;
  /** With `includeForMetrics: ["inputs"]`: [numExamples, T] input ids, filled up with -100. */
  inputs?: Int32Array;
  inputsShape?: readonly number[];
}

/** Figures of one class, as in scikit-learn's `classification_report`. */
export interface ClassMetrics {
  precision: number;
  recall: number;
  f1: number;
  support: number;
}

/** Class with the largest logit of each row; the first of equal ones. */
export function argmaxRows(predictions: Float32Array, numLabels: number): Int32Array {
  const out = new Int32Array(predictions.length / numLabels);
  for (let i = 0; i < out.length; i++) {
    let best = 0;
    for (let j = 1; j < numLabels; j++) {
      if (predictions[i * numLabels + j]! > predictions[i * numLabels + best]!) best = j;
    }
    out[i] = best;
  }
  return out;
}

/** counts[truth][predicted]; an example whose label is -100 is left out. */
export function confusionMatrix(truth: Int32Array, predicted: Int32Array, numLabels: number): number[][] {
  const counts = Array.from({ length: numLabels }, () => new Array<number>(numLabels).fill(0));
  truth.forEach((t, i) => {
    if (t !== IGNORED_LABEL) counts[t]![predicted[i]!]!++;
  });
  return counts;
}

/** Precision, recall and F1 of each class; 0 where a denominator is 0, as scikit-learn's `zero_division=0`. */
export function perClassMetrics(confusion: readonly (readonly number[])[]): ClassMetrics[] {
  const ratio = (a: number, b: number) => (b === 0 ? 0 : a / b);
  return confusion.map((row, c) => {
    const hits = row[c]!;
    const support = row.reduce((a, b) => a + b, 0);
    const claimed = confusion.reduce((sum, other) => sum + other[c]!, 0);
    const precision = ratio(hits, claimed);
    const recall = ratio(hits, support);
    return { precision, recall, f1: ratio(2 * precision * recall, precision + recall), support };
  });
}

/**
 * Accuracy and the averages of precision, recall and F1 weighted by class size, as scikit-learn's `average="weighted"`. Examples whose label
 * is -100 are left out.
 */
export function classificationMetrics(prediction: EvalPrediction): Record<string, number> {
  const { predictions, labelIds, numLabels } = prediction;
  const predicted = argmaxRows(predictions, numLabels);
  const classes = perClassMetrics(confusionMatrix(labelIds, predicted, numLabels));
  const total = classes.reduce((sum, { support }) => sum + support, 0);
  const weighted = (key: "precision" | "recall" | "f1") =>
    classes.reduce((sum, c) => sum + c[key] * c.support, 0) / total;
  const hits = predicted.reduce((sum, p, i) => sum + (p === labelIds[i] ? 1 : 0), 0);
  return {
    accuracy: hits / total,
    f1: weighted("f1"),
    precision: weighted("precision"),
    recall: weighted("recall"),
  };
}
