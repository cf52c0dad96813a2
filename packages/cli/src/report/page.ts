import type { ComparisonRow } from "../compare/rows.js";
import type { Run } from "../runs/run-folder.js";
import { comparisonContent } from "./comparison.js";
import type { RunReport } from "./data.js";
import { type Html, html, section } from "./html.js";
import template from "./page.html";
import { noticeOf, runSections, tilesOf } from "./run-sections.js";

/** A report of one or several runs as one HTML page that needs nothing else: no network, no script. */
export function reportPage(runs: readonly Run[], reports: readonly RunReport[], title: string): string {
  const isAlone = reports.length === 1;
  const [first] = reports;
  const content =
    isAlone && first
      ? html`${noticeOf(first)}${tilesOf(first)}${runSections(first, "", 2, runs[0]?.pictures)}`
      : html`${contents(reports)}${section("comparison", "Comparison", "", comparisonContent(runs, reports))}${reports.map(
          (run, i) =>
            html`<article id="run-${i + 1}"><h2>${run.name}</h2><p class="sub">${subjectOf(run)}</p>${noticeOf(run)}${tilesOf(run)}${runSections(run, `run-${i + 1}-`, 3, runs[i]?.pictures)}</article>`,
        )}`;
  return fillPage({
    kind: "wgrad report",
    title,
    subtitle: isAlone && first ? subjectOf(first) : reports.map(({ name }) => name).join(", "),
    content,
  });
}

/** The comparison alone, as a page. */
export function comparisonPage(
  runs: readonly Run[],
  reports: readonly RunReport[],
  rows: readonly ComparisonRow[],
  title: string,
): string {
  const content = section("comparison", "Figures", "", comparisonContent(runs, reports, rows));
  return fillPage({
    kind: "wgrad compare",
    title,
    subtitle: runs.length === 1 ? "one run" : `${runs.length} runs side by side`,
    content,
  });
}

/** `finetune: minilm on rotten_tomatoes` */
export function subjectOf(run: RunReport): string {
  const subject = [run.model, run.dataset].filter(Boolean).join(" on ");
  return subject ? `${run.lab}: ${subject}` : run.lab;
}

function contents(reports: readonly RunReport[]): Html {
  return html`<nav aria-label="Contents"><ul><li><a href="#comparison">Comparison</a></li>${reports.map(
    ({ name }, i) => html`<li><a href="#run-${i + 1}">${name}</a></li>`,
  )}</ul></nav>`;
}

/**
 * A page of the command.
 * @param values `kind` above the title says what made it
 * @returns HTML that needs nothing else
 */
export function fillPage(values: { kind: string; title: string; subtitle: string; content: Html }): string {
  const texts: Record<string, string> = {
    kind: values.kind,
    title: html`${values.title}`.text,
    subtitle: html`${values.subtitle}`.text,
    content: values.content.text,
    footer: html`Made with wgrad on ${new Date().toISOString().slice(0, 10)}.`.text,
  };
  return template.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => texts[name] ?? whole);
}
