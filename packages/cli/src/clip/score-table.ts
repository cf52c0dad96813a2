import { formatTable } from "../text/table.js";
import { formatCount } from "../ui.js";
import type { Scores } from "./scores.js";

/** Figures of splits, a row each. */
export function formatScores(
  splits: readonly { role: string; labels: ArrayLike<number>; scores: Scores | null }[],
): string {
  const four = (value: number | null) => (value === null ? "–" : value.toFixed(4));
  return formatTable(
    ["split", "pictures", "top-1", "top-5", "loss", "precision", "recall", "F1"],
    splits.map(({ role, labels, scores }) => {
      if (!scores) return [role, formatCount(labels.length), ...Array<string>(6).fill("–")];
      const { precision, recall, f1 } = scores.report.weightedAvg;
      return [
        role,
        formatCount(scores.examples),
        ...[scores.accuracy, scores.top5, scores.loss, precision, recall, f1].map(four),
      ];
    }),
    [0],
  );
}
