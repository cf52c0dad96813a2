import { classificationReport, formatClassificationReport } from "../../text/classification-report.js";
import { formatTable } from "../../text/table.js";
import { formatSeconds } from "../../ui.js";
import type { Classified } from "./classify.js";
import { ROLES } from "./features.js";

/** A line a classifier: accuracy and F1 on each split, and how long it took to fit. */
export function formatClassifiers(classified: readonly Classified[]): string {
  const roles = ROLES.filter((role) => classified.some(({ result }) => result.splits[role]));
  const figure = (value: number | undefined) => (value === undefined ? "–" : value.toFixed(4));
  const titles = roles.flatMap((role) => (role === "train" ? ["train acc"] : [`${role} acc`, `${role} F1`]));
  return formatTable(
    ["features", "classifier", ...titles, "fit"],
    classified.map(({ result }) => [
      result.features,
      result.classifier,
      ...roles.flatMap((role) => {
        const { accuracy, f1 } = result.splits[role] ?? {};
        return role === "train" ? [figure(accuracy)] : [figure(accuracy), figure(f1)];
      }),
      formatSeconds(result.fit_seconds),
    ]),
    [0, 1],
  );
}

/** scikit-learn's report and the confusion matrix of a classifier on the last split that has classes. */
export function formatReport({ result }: Classified, labels: readonly string[]): string {
  const role = ROLES.findLast((name) => result.confusion[name])!;
  const confusion = result.confusion[role]!;
  return [
    `${result.features} ${result.classifier}, ${role}:`,
    "",
    formatClassificationReport(classificationReport(confusion, labels)),
    "",
    formatConfusion(confusion, labels),
  ].join("\n");
}

/** A confusion matrix: a row a true class, a column a predicted one. */
export function formatConfusion(
  confusion: readonly (readonly number[])[],
  labels: readonly string[],
): string {
  return formatTable(
    ["true \\ predicted", ...labels],
    confusion.map((row, i) => [labels[i] ?? String(i), ...row.map(String)]),
  );
}
