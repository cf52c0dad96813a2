import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Device } from "@wgrad/tensor";
import { Option } from "commander";
import { withDevice } from "../device.js";
import { EXIT, UsageError } from "../errors.js";
import { formatRow } from "../text/table.js";
import { machine } from "../training/monitor.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";
import type { ReportRow } from "../verify/compare.js";

interface Flags {
  json?: boolean;
  fixtures?: string;
  only?: string[];
  limits: "adapter" | "default";
}

const SETS = ["ops", "optim", "models", "tokenizer", "runs", "peft", "images"] as const;
type SetName = (typeof SETS)[number];

/** `wgrad verify`. */
export const verify: Verb = {
  define(command, context) {
    command
      .option("--fixtures <dir>", "folder of reference cases (default: the set that ships with wgrad)")
      .option("--only <sets>", `some of ${SETS.join(",")}`, parseSets)
      .addOption(
        new Option(
          "--limits <kind>",
          "adapter: all it offers; default: WebGPU's guaranteed limits, no f16, no subgroups",
        )
          .choices(["adapter", "default"])
          .default("adapter"),
      )
      .addHelpText(
        "after",
        examples([
          ["wgrad verify", "does this GPU compute correctly?"],
          ["wgrad verify --limits default", "the same within WebGPU's guaranteed limits"],
          ["wgrad verify --fixtures fixtures --only ops,optim", "a full set of reference cases"],
        ]),
      )
      .action(async (flags: Flags) => {
        const ui = context.ui(flags);
        const folder = flags.fixtures ?? shippedFixtures();
        const sets = await findSets(folder, flags.only);
        const options = flags.limits === "default" ? { limits: "default" as const, features: [] } : {};
        await withDevice(options, async (device) => {
          ui.note(
            `Adapter: ${device.description}${flags.limits === "default" ? " (guaranteed limits only)" : ""}`,
          );
          const rows = await runSets(device, folder, sets, ui);
          const sum = (key: "passed" | "failed" | "skipped") =>
            rows.reduce((total, row) => total + row[key], 0);
          const totals = { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") };
          printMessages(rows, ui);
          ui.result(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
          ui.document({ ...totals, fixtures: folder, limits: flags.limits, rows, machine: machine(device) });
          if (totals.failed > 0) context.exit(EXIT.failed);
        });
      });
  },
};

function parseSets(text: string): string[] {
  return text.split(",").map((name) => name.trim());
}

/** The cases in the package: beside `src` and `dist`. */
function shippedFixtures(): string {
  const places = ["../fixtures", "../../fixtures"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return places.find((place) => existsSync(join(place, "ops", "index.json"))) ?? places[0]!;
}

/** Sets that are there and asked for. @throws UsageError if there is nothing to run */
async function findSets(folder: string, only: readonly string[] | undefined): Promise<SetName[]> {
  const unknown = only?.find((name) => !SETS.includes(name as SetName));
  if (unknown !== undefined)
    throw new UsageError(`--only ${unknown}: there is no such set. The sets are ${SETS.join(", ")}.`);
  if (!existsSync(folder)) throw new UsageError(`${folder}: there is no such folder of reference cases.`);
  const there = SETS.filter((name) => existsSync(join(folder, name)));
  const missing = only?.filter((name) => !there.includes(name as SetName)) ?? [];
  if (there.length === 0 || missing.length > 0) {
    const found =
      there.length > 0 ? `It has ${there.join(", ")}.` : "Expected sub-folders such as ops, optim, models.";
    throw new UsageError(
      `${folder} has no reference cases${missing.length > 0 ? ` of ${missing.join(", ")}` : ""}. ${found}`,
    );
  }
  return there.filter((name) => only?.includes(name) ?? true);
}

const WIDTHS = [9, 34, 6, 6, 6, 7, 13];
const LEFT = [0, 1, 7];

async function runSets(
  device: Device,
  folder: string,
  sets: readonly SetName[],
  ui: Ui,
): Promise<ReportRow[]> {
  const rows: ReportRow[] = [];
  const onRow = (row: ReportRow) => {
    if (rows.length === 0) {
      ui.result(
        formatRow(
          ["set", "name", "cases", "passed", "failed", "skipped", "largest error", "in"],
          [...WIDTHS, 0],
          LEFT,
        ),
      );
      ui.result(WIDTHS.map((w) => "─".repeat(w)).join("  "));
    }
    rows.push(row);
    ui.result(formatReportRow(row));
  };
  const note = throttledNote(ui);
  for (const set of sets) {
    const place = join(folder, set);
    ui.status(set);
    if (set === "ops") await runOps(device, place, ui, onRow);
    else if (set === "optim") await (await import("../verify/optim.js")).verifyOptim(device, place, onRow);
    else if (set === "models")
      await (await import("../verify/models.js")).verifyModels(device, place, onRow, note);
    else if (set === "tokenizer")
      await (await import("../verify/tokenizer.js")).verifyTokenizers(place, folder, onRow);
    else if (set === "runs")
      await (await import("../verify/runs.js")).verifyRuns(device, place, folder, onRow, note);
    else if (set === "peft") await (await import("../verify/peft.js")).verifyPeft(device, place, onRow);
    else await (await import("../verify/images.js")).verifyImages(place, onRow);
  }
  ui.done();
  return rows;
}

async function runOps(
  device: Device,
  folder: string,
  ui: Ui,
  onRow: (row: ReportRow) => void,
): Promise<void> {
  const { verifyOps } = await import("@wgrad/tensor");
  const index: unknown = JSON.parse(await readFile(join(folder, "index.json"), "utf8"));
  const load = (file: string) => readFile(join(folder, file));
  const names = Object.keys((index as { ops?: object }).ops ?? {});
  for (const [i, op] of names.entries()) {
    ui.status(`ops ${op} (${i + 1} of ${names.length})`);
    for (const report of await verifyOps(device, { index, load }, { only: [op] })) {
      const { passed, failed, largestError, largestErrorAt, failures } = report;
      const messages = failures.map((failure) => `${failure.name} ${failure.message}`);
      onRow({ set: "ops", name: op, passed, failed, skipped: 0, largestError, largestErrorAt, messages });
    }
  }
}

function formatReportRow(row: ReportRow): string {
  const cases = row.passed + row.failed + row.skipped;
  const error =
    row.passed + row.failed === 0 ? "–" : row.largestError === 0 ? "0" : row.largestError.toExponential(1);
  const mark = row.failed > 0 ? "FAILED  " : "";
  const tail = row.skipped > 0 ? (row.messages[0] ?? "") : (row.largestErrorAt ?? "");
  const cells = [
    row.set,
    row.name,
    String(cases),
    String(row.passed),
    String(row.failed),
    String(row.skipped),
    error,
    `${mark}${tail}`,
  ];
  return formatRow(cells, [...WIDTHS, 0], LEFT);
}

const SHOWN = 12;

function printMessages(rows: readonly ReportRow[], ui: Ui): void {
  const failed = rows.filter((row) => row.failed > 0);
  for (const row of failed) {
    ui.result(`\n${row.set} ${row.name}:`);
    for (const message of row.messages.slice(0, SHOWN)) ui.result(`  ${message}`);
    if (row.messages.length > SHOWN)
      ui.result(`  … and ${row.messages.length - SHOWN} more (--json lists all)`);
  }
}

const NOTE_INTERVAL = 15_000;

/** Status on a live line; elsewhere a line now and then. */
function throttledNote(ui: Ui): (text: string) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (text) => {
    if (ui.live) return ui.status(text);
    const now = performance.now();
    if (now - last < NOTE_INTERVAL) return;
    last = now;
    ui.note(text);
  };
}
