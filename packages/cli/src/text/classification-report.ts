import { type ClassMetrics, perClassMetrics } from "@wgrad/trainer";

/** Figures of `classification_report(output_dict=True)`. */
export interface ClassificationReport {
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
  const classes = perClassMetrics(confusion);
  const total = classes.reduce((sum, c) => sum + c.support, 0);
  const average = (weight: (c: ClassMetrics) => number): ClassMetrics => {
    const of = (key: "precision" | "recall" | "f1") =>
      classes.reduce((sum, c) => sum + c[key] * weight(c), 0);
    return { precision: of("precision"), recall: of("recall"), f1: of("f1"), support: total };
  };
  return {
    classes: Object.fromEntries(classes.map((c, i) => [names[i] ?? String(i), c])),
    accuracy: confusion.reduce((sum, row, i) => sum + row[i]!, 0) / total,
    macroAvg: average(() => 1 / classes.length),
    weightedAvg: average((c) => c.support / total),
  };
}

/** The report as `sklearn.metrics.classification_report` prints it. */
export function formatClassificationReport(report: ClassificationReport, digits = 4): string {
  const names = Object.keys(report.classes);
  const width = Math.max(...names.map((n) => n.length), "weighted avg".length, digits);
  const line = (name: string, cells: readonly string[]) =>
    `${name.padStart(width)} ${cells.map((cell) => ` ${cell.padStart(9)}`).join("")}`;
  const row = (name: string, m: ClassMetrics) =>
    line(name, [
      m.precision.toFixed(digits),
      m.recall.toFixed(digits),
      m.f1.toFixed(digits),
      String(m.support),
    ]);
  const total = String(report.macroAvg.support);
  return [
    line("", ["precision", "recall", "f1-score", "support"]),
    "",
    ...Object.entries(report.classes).map(([name, m]) => row(name, m)),
    "",
    line("accuracy", ["", "", report.accuracy.toFixed(digits), total]),
    row("macro avg", report.macroAvg),
    row("weighted avg", report.weightedAvg),
  ].join("\n");
}
