import { columnsOf, isBest, isWords, sharedAdapter } from "../compare/columns.js";
import { type ComparisonRow, comparisonRows, differingSettings } from "../compare/rows.js";
import type { Run } from "../runs/run-folder.js";
import { barChart } from "./charts.js";
import { comparisonCharts } from "./curves.js";
import type { RunReport } from "./data.js";
import { charts, type Html, html, subheading, tableOf } from "./html.js";

/** Tables and charts that put runs beside each other. @param rows sorted as they are to be shown */
export function comparisonContent(
  runs: readonly Run[],
  reports: readonly RunReport[],
  rows: readonly ComparisonRow[] = comparisonRows(runs),
): Html {
  const columns = columnsOf(rows);
  const table = tableOf(
    "Comparison of the runs",
    columns.map((column) => ({ heading: column.heading, isWords: isWords(column) })),
    rows.map((row) =>
      columns.map((column) =>
        isBest(column, row, rows) ? html`<strong>${column.cell(row)}</strong>` : column.cell(row),
      ),
    ),
  );
  const adapter = sharedAdapter(rows);
  return html`${table}<p class="note">The best score of a column is bold. F1 is weighted by the size of the classes; peak memory is that of the adapter's buffers.${adapter !== null && ` Adapter: ${adapter}.`}</p>
${charts([...scores(rows), ...comparisonCharts(reports)])}
${settingsThatDiffer(runs)}`;
}

function scores(rows: readonly ComparisonRow[]): string[] {
  const split = rows.some((row) => row.test_accuracy !== null) ? "test" : "validation";
  const bars = rows.map((row) => {
    const value = split === "test" ? row.test_accuracy : row.validation_accuracy;
    return { name: row.name, value: value ?? Number.NaN, label: value?.toFixed(4) ?? "–" };
  });
  if (bars.every(({ value }) => Number.isNaN(value)) || bars.length < 2) return [];
  return [barChart({ title: `Accuracy on ${split}`, xLabel: "accuracy", xRange: [0, 1], bars })];
}

function settingsThatDiffer(runs: readonly Run[]): Html {
  if (runs.length < 2) return html``;
  const settings = differingSettings(runs);
  if (settings.length === 0)
    return html`${subheading(2, "Settings that differ")}<p class="hint">None: the runs have the same settings.</p>`;
  return html`${subheading(2, "Settings that differ")}${tableOf(
    "Settings that differ",
    [{ heading: "setting", isWords: true }, ...runs.map(({ name }) => ({ heading: name, isWords: true }))],
    settings.map(({ name, values }) => [name, ...values.map((value) => value ?? "–")]),
  )}`;
}
