import {
  byKernel,
  byModule,
  byPhase,
  type KernelRow,
  type PhaseRow,
  type Summary,
  summarise,
} from "../aggregate.js";
import { flameTree } from "../flame.js";
import { formatCount, formatShare, formatTime, scaled } from "../numbers.js";
import { type Peaks, PHASES, type Profile } from "../profile.js";
import { bandwidthBars } from "./bandwidth.js";
import { flameChart } from "./flame-chart.js";
import { escapeHtml, OpColours } from "./html.js";
import template from "./page.html";
import { roofline } from "./roofline.js";
import { kernelTable, moduleTable, phaseTable, type TableContext } from "./tables.js";

/**
 * A profile as one HTML page that needs nothing else: figures of the step, its passes, a flame chart to zoom into, the
 * roofline, and tables that sort.
 */
export function profilePage(profile: Profile): string {
  const summary = summarise(profile);
  const isTimed = profile.timing === "dispatch" && summary.seconds > 0;
  const kernels = byKernel(profile);
  const ops = opsByTime(kernels);
  const colours = new OpColours(ops);
  const context: TableContext = { peaks: profile.peaks, seconds: summary.seconds, isTimed, colours };
  const legend = colours.legend(ops.length > colours.named.length);
  const phases = byPhase(profile);
  const content = [
    tiles(profile, summary, isTimed),
    isTimed ? "" : untimedNotice(),
    section(
      "Passes",
      isTimed ? "Time of each pass on the GPU." : "What each pass asks of the GPU.",
      (isTimed ? passBar(phases, summary.seconds) : "") + phaseTable(phases, context),
    ),
    isTimed
      ? section(
          "Where the time goes",
          "From top to bottom: pass, modules, operation, kernel with its shape. Width is time on the GPU. Click a cell to zoom in; Escape goes back.",
          legend + flameChart(flameTree(profile), colours, profile.peaks),
        )
      : "",
    isTimed
      ? section(
          "Roofline",
          rooflineHint(kernels, summary, profile.peaks),
          legend +
            roofline(kernels, summary, profile.peaks, colours) +
            bandwidthBars(kernels, profile.peaks, colours),
        )
      : "",
    section("Kernels by shape", "Click a heading to sort.", kernelTable(kernels, context)),
    section(
      "Modules",
      "Each with all modules inside it; “its own” is what it calls itself.",
      moduleTable(byModule(profile), context),
    ),
  ].join("\n");
  const steps = profile.steps.length;
  return fill(template, {
    title: escapeHtml(profile.title),
    subtitle: escapeHtml(`${profile.adapter} · mean of ${steps} profiled step${steps === 1 ? "" : "s"}`),
    content,
    footer:
      "FLOP and bytes are what the operation needs at least: a fused multiply-add is two FLOP, and each tensor counts once. " +
      "Bytes a second may exceed the copy peak where caches serve what a copy must fetch.",
  });
}

/** Puts values in the place of `{{name}}`; each is HTML already. */
function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole);
}

function opsByTime(kernels: readonly KernelRow[]): string[] {
  const seconds = new Map<string, number>();
  for (const row of kernels) seconds.set(row.op, (seconds.get(row.op) ?? 0) + row.seconds);
  return [...seconds].sort((a, b) => b[1] - a[1]).map(([op]) => op);
}

function section(title: string, hint: string, body: string): string {
  return `<section><h2>${title}</h2><p class="hint">${hint}</p>${body}</section>`;
}

function tiles({ peaks, unprofiled }: Profile, summary: Summary, isTimed: boolean): string {
  const step = summary.unprofiled ?? summary.profiled;
  const speed = summary.flop / step.mean;
  const traffic = summary.bytes / step.mean;
  const tile = (name: string, value: string, ...notes: string[]) =>
    `<div class="tile"><dt>${name}</dt><dd>${value}${notes.map((note) => `<small>${note}</small>`).join("")}</dd></div>`;
  const made = `${formatCount(summary.buffersCreated)} buffers, ${formatCount(summary.bindGroupsCreated)} bind groups made`;
  return `<dl class="tiles">${[
    tile(
      unprofiled.length > 0 ? "Step, unprofiled" : "Step, profiled",
      formatTime(step.mean),
      `${formatTime(step.least)} to ${formatTime(step.most)}${summary.cpu ? `; ${formatTime(summary.cpu.mean)} of CPU` : ""}`,
      summary.unprofiled ? `profiled ${formatTime(summary.profiled.mean)}` : "",
    ),
    isTimed
      ? tile(
          "GPU, all dispatches",
          formatTime(summary.seconds),
          `${formatTime(Math.max(0, summary.gpuSpanSeconds - summary.seconds))} between them`,
        )
      : "",
    tile("Host", formatTime(summary.host.mean), "JavaScript until all is submitted"),
    tile(
      "Dispatches",
      formatCount(summary.dispatches),
      `in ${formatCount(summary.submissions)} submission${summary.submissions === 1 ? "" : "s"}`,
    ),
    tile(
      "Arithmetic",
      scaled(summary.flop, "FLOP"),
      `${scaled(speed, "FLOP/s")} over the step`,
      peaks ? `${formatShare(speed / peaks.flops)} of the peak` : "",
    ),
    tile(
      "Memory traffic",
      scaled(summary.bytes, "B"),
      `${scaled(traffic, "B/s")} over the step`,
      peaks ? `${formatShare(traffic / peaks.bytesPerSecond)} of the copy peak` : "",
    ),
    tile("Tensors at the peak", scaled(summary.peakLiveBytes, "B"), made),
  ].join("")}</dl>`;
}

function untimedNotice(): string {
  return (
    `<section class="notice"><h2>Dispatches are not timed</h2><p>This adapter offers no <code>timestamp-query</code>, so only whole steps ` +
    "were timed, from the submission until the GPU was done. What follows are counts, arithmetic and bytes.</p></section>"
  );
}

function passBar(phases: readonly PhaseRow[], seconds: number): string {
  const colour = (row: PhaseRow) => `var(--phase-${PHASES.indexOf(row.phase)})`;
  const share = (row: PhaseRow) => row.seconds / seconds;
  const parts = phases.map(
    (row) =>
      `<i style="flex: ${share(row).toFixed(5)}; background: ${colour(row)}" data-tip="${row.phase}\n${formatTime(row.seconds)}, ${formatShare(share(row))}"></i>`,
  );
  const keys = phases.map(
    (row) =>
      `<li><i style="background: ${colour(row)}"></i><b>${row.phase}</b> ${formatTime(row.seconds)}, ${formatShare(share(row))}</li>`,
  );
  return `<div class="passes">${parts.join("")}</div><ul class="keys">${keys.join("")}</ul>`;
}

function rooflineHint(kernels: readonly KernelRow[], summary: Summary, peaks: Peaks | null): string {
  const missing = kernels.filter((row) => row.flop === 0);
  const seconds = missing.reduce((sum, row) => sum + row.seconds, 0);
  const roofs = peaks
    ? "Left of the bend a kernel waits for memory, right of it for arithmetic; the roofs were measured on this adapter."
    : "The adapter's peaks were not measured, so there is no roof.";
  const absent =
    missing.length > 0
      ? ` Below it are the kernels that do not count arithmetic: ${formatTime(seconds)}, ${formatShare(seconds / summary.seconds)} of the step.`
      : "";
  return `A point is a kernel on one shape, its area the share of the step. ${roofs}${absent}`;
}
