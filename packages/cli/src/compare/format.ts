import type { Run } from "../runs/run-folder.js";
import { formatTable } from "../text/table.js";
import { columnsOf, isBest, isWords, sharedAdapter } from "./columns.js";
import { type ComparisonRow, differingSettings } from "./rows.js";

/** Longest cell of a terminal's table that is words; longer ones are cut. */
const WIDEST = 44;

/** The comparison for a terminal: figures of the runs, then the settings that differ. */
export function comparisonText(rows: readonly ComparisonRow[], runs: readonly Run[]): string {
  const columns = columnsOf(rows);
  const table = formatTable(
    columns.map(({ heading }) => heading),
    rows.map((row) => columns.map((column) => cut(column.cell(row)))),
    columns.flatMap((column, i) => (isWords(column) ? [i] : [])),
  );
  const adapter = sharedAdapter(rows);
  const settings = differingSettings(runs);
  const differing =
    runs.length > 1 && settings.length > 0
      ? [
          `Settings that differ\n\n${formatTable(
            ["setting", ...runs.map(({ name }) => cut(name))],
            settings.map(({ name, values }) => [name, ...values.map((value) => cut(value ?? "–"))]),
            Array.from({ length: runs.length + 1 }, (_, i) => i),
          )}`,
        ]
      : [];
  return [table, ...(adapter === null ? [] : [`Adapter: ${adapter}`]), ...differing].join("\n\n");
}

/** The comparison as GitHub's Markdown; the best scores are bold. */
export function comparisonMarkdown(rows: readonly ComparisonRow[], runs: readonly Run[]): string {
  const columns = columnsOf(rows);
  const table = markdownTable(
    columns.map((column) => ({ heading: column.heading, isWords: isWords(column) })),
    rows.map((row) =>
      columns.map((column) => {
        const text = markdown(column.cell(row));
        return isBest(column, row, rows) ? `**${text}**` : text;
      }),
    ),
  );
  const adapter = sharedAdapter(rows);
  const figures = adapter === null ? table : `${table}\n\nAdapter: ${markdown(adapter)}`;
  const settings = differingSettings(runs);
  if (runs.length < 2 || settings.length === 0) return `${figures}\n`;
  const differing = markdownTable(
    ["setting", ...runs.map(({ name }) => name)].map((heading) => ({
      heading: markdown(heading),
      isWords: true,
    })),
    settings.map(({ name, values }) => [markdown(name), ...values.map((value) => markdown(value ?? "–"))]),
  );
  return `${figures}\n\nSettings that differ:\n\n${differing}\n`;
}

function markdownTable(
  columns: readonly { heading: string; isWords: boolean }[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(columns.map(({ heading }) => heading)),
    line(columns.map((column) => (column.isWords ? "---" : "---:"))),
    ...rows.map(line),
  ].join("\n");
}

/** Text of a cell: what Markdown would take for its own is escaped. */
function markdown(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[\\`*_{}[\]<>|~]/g, "\\$&");
}

function cut(text: string): string {
  return text.length <= WIDEST ? text : `${text.slice(0, WIDEST - 1)}…`;
}
