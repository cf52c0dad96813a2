import { basename } from "node:path";
import { writeFileAtomic } from "@wgrad/models/node";
import { UsageError } from "../errors.js";
import { reportOf } from "../report/data.js";
import { type Run, readRuns } from "../runs/run-folder.js";
import type { Setting } from "../training/settings.js";
import type { Ui } from "../ui.js";
import { sorted } from "./columns.js";
import { comparisonMarkdown, comparisonText } from "./format.js";
import { comparisonRows, differingSettings } from "./rows.js";

const FORMATS = ["table", "markdown", "html"] as const;

/** Settings of the lab and flags of the verb, which takes the runs as its arguments. */
export const COMPARE_SETTINGS: readonly Setting[] = [
  {
    name: "sort",
    kind: "text",
    help: "column to sort by, the best first, such as test-accuracy or training-time (default: as given)",
  },
  { name: "format", kind: "text", help: "what is printed: table, markdown or html", default: "table" },
  { name: "markdown", kind: "text", help: "also write the tables as Markdown to this file" },
  { name: "html", kind: "text", help: "also write a page with tables and charts to this file" },
  { name: "title", kind: "text", help: "title of the page" },
];

/** Values of {@link COMPARE_SETTINGS}. */
export interface CompareOptions {
  sort?: string | null;
  format?: string | null;
  markdown?: string | null;
  html?: string | null;
  title?: string | null;
}

/**
 * Puts runs beside each other: prints the comparison and writes the files that are asked for.
 * @param folders of runs, or of folders that hold some
 * @returns the document that `--json` prints
 * @throws CommandError `E_RUN` for a folder without a run, UsageError for a column or a format that there is not
 */
export async function compareRuns(
  folders: readonly string[],
  options: CompareOptions,
  ui: Ui,
): Promise<Record<string, unknown>> {
  const format = options.format ?? "table";
  if (!(FORMATS as readonly string[]).includes(format))
    throw new UsageError(`--format ${format}: expected one of ${FORMATS.join(", ")}.`);
  const runs = await readRuns(folders);
  const all = comparisonRows(runs);
  const rows = options.sort ? sorted(all, options.sort) : all;
  const page = () => pageOf(runs, rows, options.title ?? titleOf(runs));
  if (format === "html") ui.result(await page());
  else if (format === "markdown") ui.result(comparisonMarkdown(rows, runs).trimEnd());
  else ui.result(comparisonText(rows, runs));
  if (options.markdown) await writeFileAtomic(options.markdown, comparisonMarkdown(rows, runs));
  if (options.html) await writeFileAtomic(options.html, await page());
  for (const file of [options.markdown, options.html]) if (file) ui.note(`Written: ${file}`);
  return {
    rows,
    settings: differingSettings(runs).map(({ name, values }) => ({
      name,
      values: Object.fromEntries(runs.map((run, i) => [run.name, values[i] ?? null])),
    })),
    markdown: options.markdown ?? null,
    html: options.html ?? null,
  };
}

async function pageOf(
  runs: readonly Run[],
  rows: ReturnType<typeof comparisonRows>,
  title: string,
): Promise<string> {
  // A table needs no library of charts.
  const { comparisonPage } = await import("../report/page.js");
  const reports = runs.map((run) => reportOf({ ...run, predictions: {} }, 0));
  return comparisonPage(runs, reports, rows, title);
}

function titleOf(runs: readonly Run[]): string {
  const names = runs.map(({ name }) => basename(name));
  return names.length <= 3 ? names.join(" · ") : `${names.length} runs compared`;
}
