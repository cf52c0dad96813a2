import { type ClassMetrics, perClassMetrics } from "@wgrad/trainer";

/** Figures of `classification_report(output_dict=True, zero_division=0)`. */
export interface ClassificationReport {
  /** Names of the classes in their order, which the keys of an object may not keep. */
  names: readonly string[];
  classes: Record<string, ClassMetrics>;
  accuracy: number;
  macroAvg: ClassMetrics;
  weightedAvg: ClassMetrics;
}

/**
 * Precision, recall and F1 of each class and their averages.
 * @param confusion counts[truth][predicted]
 */
export function classificationReport(
  confusion: readonly (readonly number[])[],
  names: readonly string[],
): ClassificationReport {
  const classes = perClassMetrics(confusion).map((metrics, c) => ({ ...metrics, f1: f1Of(confusion, c) }));
  const total = classes.reduce((sum, c) => sum + c.support, 0);
  const average = (weight: (c: ClassMetrics) => number): ClassMetrics => {
    const weights = classes.reduce((sum, c) => sum + weight(c), 0);
    const of = (key: "precision" | "recall" | "f1") =>
      classes.reduce((sum, c) => sum + c[key] * weight(c), 0) / weights;
    return { precision: of("precision"), recall: of("recall"), f1: of("f1"), support: total };
  };
  const named = classes.map((_, i) => names[i] ?? String(i));
  return {
    names: named,
    classes: Object.fromEntries(classes.map((c, i) => [named[i]!, c])),
    accuracy: confusion.reduce((sum, row, i) => sum + row[i]!, 0) / total,
    macroAvg: average(() => 1),
    weightedAvg: average((c) => c.support),
  };
}

/** F1 from the counts, with one rounding: through precision and recall the last digit may be another. */
function f1Of(confusion: readonly (readonly number[])[], c: number): number {
  const support = confusion[c]!.reduce((sum, n) => sum + n, 0);
  const claimed = confusion.reduce((sum, row) => sum + row[c]!, 0);
  return support + claimed === 0 ? 0 : (2 * confusion[c]![c]!) / (support + claimed);
}

/** The report as `print(sklearn.metrics.classification_report(…, zero_division=0))` shows it, without the last line's end. */
export function formatClassificationReport(report: ClassificationReport, digits = 4): string {
  const { names, classes } = report;
  const width = Math.max(...names.map((n) => n.length), "weighted avg".length, digits);
  const line = (name: string, cells: readonly string[]) =>
    `${name.padStart(width)} ${cells.map((cell) => ` ${cell.padStart(9)}`).join("")}`;
  const row = (name: string, m: ClassMetrics) =>
    line(name, [
      toFixedEven(m.precision, digits),
      toFixedEven(m.recall, digits),
      toFixedEven(m.f1, digits),
      String(m.support),
    ]);
  const total = String(report.macroAvg.support);
  return [
    line("", ["precision", "recall", "f1-score", "support"]),
    "",
    ...names.map((name) => row(name, classes[name]!)),
    "",
    line("accuracy", ["", "", toFixedEven(report.accuracy, digits), total]),
    row("macro avg", report.macroAvg),
    row("weighted avg", report.weightedAvg),
  ].join("\n");
}

/** As `toFixed`, but what is exactly between two roundings goes to the even one, as in Python: 0.125 → 0.12. */
function toFixedEven(value: number, digits: number): string {
  const rounded = value.toFixed(digits);
  // A share that has its exact half behind the last digit is a multiple of a power of ½, and 100 digits show all of it.
  const exact = value.toFixed(Math.min(100, digits + 60));
  const isHalf = /^50*$/.test(exact.slice(exact.indexOf(".") + 1 + digits));
  const isOdd = "13579".includes(rounded.at(-1)!);
  if (!isHalf || !isOdd) return rounded;
  return exact.slice(0, exact.indexOf(".") + (digits === 0 ? 0 : 1 + digits));
}
