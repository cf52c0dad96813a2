import type { Device } from "@wgrad/tensor";
import {
  type BenchRow,
  benchEntry,
  type CheckResult,
  checkEntry,
  describeOwnKernel,
  describeWorst,
  entries,
  type LabEntry,
  type LadderOverview,
  measurePeaks,
  overview,
  type Peaks,
  type Rate,
  tune,
} from "@wgrad/tensor/lab";
import { withDevice } from "../device.js";
import { EXIT, UsageError } from "../errors.js";
import { formatRow, formatTable } from "../text/table.js";
import { machine } from "../training/monitor.js";
import { formatSeconds, type Progress, type Ui } from "../ui.js";
import type { VerbContext } from "../verb.js";
import { parseAssignment } from "./assignment.js";
import { writeTemplate } from "./new.js";
import { checkOwn, expectStep, ladderOf, ownKernelsJson, useOwnKernels } from "./own.js";
import { formatDispatches, refuseUnfit, showDispatches } from "./show.js";
import { type CachedTuning, deleteTuning, loadCachedTuning, saveTuning, tuningPath } from "./tuning.js";

/** `--limits`. */
interface Limits {
  limits: "adapter" | "default";
}

/** An op and, where one is named, a step of it. */
interface Named {
  readonly entry: LabEntry;
  readonly step: string | null;
}

/** Seconds of processor time of this process. */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function deviceOptions({ limits }: Limits) {
  return limits === "default" ? { limits: "default" as const, features: [] } : {};
}

function noteAdapter(device: Device, { limits }: Limits, ui: Ui): void {
  ui.note(`Adapter: ${device.description}${limits === "default" ? " (guaranteed limits only)" : ""}`);
}

/** `op` or `op/step`. @throws UsageError with the nearest name */
export function parseName(text: string): Named {
  const at = text.indexOf("/");
  if (at < 0) return { entry: ladderOf(text), step: null };
  const entry = ladderOf(text.slice(0, at));
  const step = text.slice(at + 1);
  if (!entry.ladder.steps.some(({ name }) => name === step)) {
    const names = entry.ladder.steps.map(({ name }) => name).join(", ");
    throw new UsageError(`${entry.ladder.op} has no step ${step}. There are: ${names}.`);
  }
  return { entry, step };
}

/** `--variant op=step` as one more name. */
function withVariants(names: readonly string[], variants: readonly string[] = []): string[] {
  const more = variants.map((text) => parseAssignment("--variant", text));
  return [...names, ...more.map(({ op, value }) => `${op}/${value}`)];
}

/** What is asked for, by op: the steps, or all of them. Without names: every ladder. */
function parseNames(names: readonly string[]): Map<LabEntry, readonly string[] | undefined> {
  const found = new Map<LabEntry, readonly string[] | undefined>();
  if (names.length === 0) for (const entry of entries) found.set(entry, undefined);
  for (const { entry, step } of names.map(parseName)) {
    const before = found.get(entry);
    if (step === null || (found.has(entry) && before === undefined)) found.set(entry, undefined);
    else found.set(entry, [...(before ?? []), step]);
  }
  return found;
}

/** Shapes as given, each read once by every op it is for. @throws UsageError for one that an op does not understand */
function checkShapes(shapes: readonly string[] | undefined, asked: Iterable<LabEntry>): void {
  for (const shape of shapes ?? []) {
    for (const entry of asked) {
      try {
        entry.workload(shape);
      } catch (cause) {
        throw new UsageError(`--shape ${shape}: ${(cause as Error).message}`, { cause });
      }
    }
  }
}

/** `wgrad kernels list`. */
export async function runList(ops: readonly string[], flags: Limits, ui: Ui): Promise<void> {
  const asked = ops.length > 0 ? ops.map(ladderOf) : entries;
  await withDevice(deviceOptions(flags), async (device) => {
    noteAdapter(device, flags, ui);
    const tuning = await loadCachedTuning(device);
    const all = asked.map((entry) => overview(device, entry));
    ui.note(describeTuning(tuning));
    for (const one of all) ui.result(formatOverview(one));
    ui.document({ tuning, ops: all, machine: machine(device) });
  });
}

function describeTuning({ path, state, choices, made, reason }: CachedTuning): string {
  if (state === "loaded") return `Tuned: ${choices} choices of ${made?.slice(0, 10)} in ${path}`;
  if (state === "refused") return `Not tuned: ${path} is left alone: ${reason}`;
  return `Not tuned: wgrad kernels tune measures which step is fastest here (${path}).`;
}

function formatOverview({ op, summary, reference, shapeFormat, steps, choices }: LadderOverview): string {
  const rows = steps.map(({ name, idea, requires, lacks }) => [
    `  ${name}`,
    requires ?? "nothing",
    lacks === null ? "yes" : "no",
    idea,
  ]);
  const chosen = choices.map(({ shape, step, why }) => [`  ${shape}`, step, why]);
  return [
    `\n${op}: ${summary}`,
    `  reference: ${reference}; shapes: ${shapeFormat}`,
    formatTable(["  step", "needs", "runs here", "idea"], rows, [0, 1, 2, 3]),
    "",
    formatTable(["  shape", "gets", "because"], chosen, [0, 1, 2]),
  ].join("\n");
}

/** `wgrad kernels show`. */
export async function runShow(
  name: string,
  flags: Limits & { shape?: string; kernel?: string[]; force?: boolean },
  ui: Ui,
): Promise<void> {
  const { entry, step } = parseName(name);
  const shape = flags.shape ?? entry.benchShapes[0]!;
  checkShapes([shape], [entry]);
  await withDevice(deviceOptions(flags), async (device) => {
    await useOwnKernels(device, flags.kernel ?? [], { force: flags.force ?? false, ui });
    if (step !== null) {
      expectStep(device, entry, step);
      refuseUnfit(device, entry, step, shape);
      device.ownKernels.delete(entry.ladder.op);
      device.variants.set(entry.ladder.op, step);
    }
    const dispatches = await showDispatches(device, entry, shape);
    ui.result(
      `// ${entry.ladder.op} ${shape} on ${device.description}: ${dispatches.length} dispatch${dispatches.length === 1 ? "" : "es"}\n`,
    );
    ui.result(formatDispatches(dispatches));
    ui.document({ op: entry.ladder.op, shape, dispatches, machine: machine(device) });
  });
}

const CHECK_WIDTHS = [24, 18, 6, 6, 7];
const CHECK_LEFT = [0, 1, 5];

/** `wgrad kernels check`. */
export async function runCheck(
  words: readonly string[],
  flags: Limits & { shape?: string[]; kernel?: string[]; variant?: string[] },
  ui: Ui,
  context: VerbContext,
): Promise<void> {
  const own = flags.kernel ?? [];
  const names = withVariants(words, flags.variant);
  for (const spec of own) ladderOf(parseAssignment("--kernel", spec).op);
  const asked = own.length > 0 && names.length === 0 ? new Map<LabEntry, undefined>() : parseNames(names);
  checkShapes(flags.shape, asked.keys());
  await withDevice(deviceOptions(flags), async (device) => {
    noteAdapter(device, flags, ui);
    const reports = [];
    for (const spec of own) {
      const report = await checkOwn(device, spec, ui);
      reports.push(report);
      ui.result(`${report.ok ? "✓" : "✗"} ${describeOwnKernel(report)}`);
    }
    const results: CheckResult[] = [];
    const total = [...asked].reduce(
      (sum, [entry, steps]) =>
        sum + (steps ?? entry.ladder.steps).length * (flags.shape ?? entry.checkShapes).length,
      0,
    );
    const progress = ui.progress("Checking", Math.max(1, total));
    if (asked.size > 0) {
      ui.result(
        formatRow(
          ["op", "step", "passed", "failed", "skipped", "nearest to the tolerance"],
          [...CHECK_WIDTHS, 0],
          CHECK_LEFT,
        ),
      );
      ui.result(CHECK_WIDTHS.map((width) => "─".repeat(width)).join("  "));
    }
    for (const [entry, steps] of asked) {
      const mine = await checkEntry(device, entry, {
        ...(steps ? { steps } : {}),
        ...(flags.shape ? { shapes: flags.shape } : {}),
        onResult: (result) => {
          results.push(result);
          progress.update(results.length, `${result.op} ${result.shape}`);
        },
      });
      for (const name of steps ?? entry.ladder.steps.map((step) => step.name)) {
        ui.result(
          formatCheck(
            entry.ladder.op,
            name,
            mine.filter(({ step }) => step === name),
          ),
        );
      }
    }
    progress.finish();
    const failed = results.filter(({ status }) => status === "failed");
    for (const result of failed.slice(0, 20)) {
      const words = result.reason ?? describeWorst(result);
      ui.result(`\n✗ ${result.op}/${result.step} ${result.shape}: ${words}`);
    }
    if (failed.length > 20) ui.result(`… and ${failed.length - 20} more (--json lists all)`);
    const count = (status: string) => results.filter((result) => result.status === status).length;
    const wrong = reports.filter(({ ok }) => !ok).length;
    const totals = { passed: count("passed"), failed: failed.length + wrong, skipped: count("skipped") };
    if (asked.size > 0)
      ui.result(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
    ui.document({
      ...totals,
      limits: flags.limits,
      results,
      own: reports.map((report) => ({ ...report, words: describeOwnKernel(report) })),
      machine: machine(device),
    });
    if (totals.failed > 0) context.exit(EXIT.failed);
  });
}

function formatCheck(op: string, step: string, results: readonly CheckResult[]): string {
  const count = (status: string) => String(results.filter((result) => result.status === status).length);
  const worst = results.reduce<CheckResult | null>(
    (a, b) => ((b.worst?.used ?? -1) > (a?.worst?.used ?? -1) ? b : a),
    null,
  );
  const skipped = results.find(({ status }) => status === "skipped");
  const tail = worst?.worst
    ? `${Number(worst.worst.used.toPrecision(2))} of it at ${worst.shape}`
    : (skipped?.reason ?? "");
  const mark = count("failed") === "0" ? "" : "FAILED  ";
  const cells = [op, step, count("passed"), count("failed"), count("skipped"), `${mark}${tail}`];
  return formatRow(cells, [...CHECK_WIDTHS, 0], CHECK_LEFT);
}

/** `wgrad kernels bench`. */
export async function runBench(
  words: readonly string[],
  flags: Limits & {
    shape?: string[];
    kernel?: string[];
    variant?: string[];
    force?: boolean;
    seconds: number;
  },
  ui: Ui,
): Promise<void> {
  const own = flags.kernel ?? [];
  const names = withVariants(words, flags.variant);
  if (!(flags.seconds > 0)) throw new UsageError(`--seconds ${flags.seconds}: expected a number over 0.`);
  const asked = parseNames(
    names.length === 0 ? own.map((spec) => parseAssignment("--kernel", spec).op) : names,
  );
  checkShapes(flags.shape, asked.keys());
  await withDevice(deviceOptions(flags), async (device) => {
    noteAdapter(device, flags, ui);
    const reports = await useOwnKernels(device, own, { force: flags.force ?? false, ui });
    ui.status("Measuring the peaks of this adapter");
    const peaks = await measurePeaks(device, { cpuTime });
    ui.done();
    ui.result(formatPeaks(peaks));
    const rows: BenchRow[] = [];
    const shapes = [...asked].map(([entry]) => (flags.shape ?? entry.benchShapes).length);
    const progress = ui.progress(
      "Measuring",
      shapes.reduce((sum, count) => sum + count, 0),
    );
    let done = 0;
    for (const [entry, steps] of asked) {
      for (const shape of flags.shape ?? entry.benchShapes) {
        progress.update(done++, `${entry.ladder.op} ${shape}`);
        const options = {
          peaks,
          cpuTime,
          seconds: flags.seconds,
          shapes: [shape],
          ...(steps ? { steps } : {}),
        };
        const mine = await benchEntry(device, entry, options);
        rows.push(...mine);
        ui.result(`\n${formatBench(entry, shape, mine)}`);
      }
    }
    progress.finish();
    ui.document({ peaks, rows, own: ownKernelsJson(reports), machine: machine(device) });
  });
}

function formatPeaks({ f32, f16, copy, timing }: Peaks): string {
  const rate = (value: Rate, unit: string) => {
    const cpu =
      value.perCpuSecond === null ? "" : `, ${(value.perCpuSecond / 1e9).toFixed(1)} ${unit} per CPU-second`;
    return `${(value.perSecond / 1e9).toFixed(1)} ${unit}/s${cpu}`;
  };
  return [
    `Peaks of this adapter (by ${timing === "timestamps" ? "timestamp queries" : "submissions: it has no timestamp queries"}):`,
    `  arithmetic f32  ${rate(f32, "GFLOP")}`,
    ...(f16 ? [`  arithmetic f16  ${rate(f16, "GFLOP")}`] : []),
    `  copy            ${rate(copy, "GB")}`,
  ].join("\n");
}

function formatBench(entry: LabEntry, shape: string, rows: readonly BenchRow[]): string {
  const counts = rows.some(({ flop }) => flop !== null);
  const unit = counts ? "GFLOP" : "GB";
  const byCpu = rows.some(({ bytes }) => bytes.perCpuSecond !== null);
  const best = Math.min(...rows.filter(({ skipped }) => !skipped).map(costOf));
  const cells = rows.map((row) => {
    if (row.skipped) return [row.step, ...new Array<string>(byCpu ? 6 : 5).fill("–"), row.why];
    const rate = row.flop ?? row.bytes;
    const share = counts ? row.shareOfArithmetic : row.shareOfCopy;
    const spread = (row.seconds.high - row.seconds.low) / 2 / row.seconds.median;
    return [
      row.step,
      milliseconds(row.seconds.median),
      `±${(100 * spread).toFixed(0)}%`,
      (rate.perSecond / 1e9).toFixed(2),
      ...(byCpu ? [rate.perCpuSecond === null ? "–" : (rate.perCpuSecond / 1e9).toFixed(2)] : []),
      share === null ? "–" : `${(100 * share).toFixed(0)}%`,
      costOf(row) === best ? "fastest" : `${(costOf(row) / best).toFixed(2)}x`,
      row.chosen ? `chosen: ${row.why}` : "",
    ];
  });
  const peak = counts ? "% of peak" : "% of copy";
  const header = ["step", "ms", "spread", `${unit}/s`, ...(byCpu ? [`${unit}/CPU-s`] : []), peak, "time", ""];
  return `${entry.ladder.op} ${shape}\n${formatTable(header, cells, [0, header.length - 1])}`;
}

/** What rows are compared by: processor time where the processor is the GPU. */
function costOf(row: BenchRow): number {
  return row.bytes.perCpuSecond !== null && row.cpuSeconds ? row.cpuSeconds.median : row.seconds.median;
}

function milliseconds(seconds: number): string {
  return (seconds * 1000).toPrecision(3);
}

/** `wgrad kernels tune`. */
export async function runTune(
  ops: readonly string[],
  flags: { seconds: number; delete?: boolean },
  ui: Ui,
  context: VerbContext,
): Promise<void> {
  const asked = ops.length > 0 ? ops.map(ladderOf) : entries;
  await withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    if (flags.delete) {
      const { path, existed } = await deleteTuning(device);
      ui.result(existed ? `Removed ${path}` : `There is no ${path}`);
      ui.document({ path, deleted: existed });
      return;
    }
    ui.note(`Cache: ${tuningPath(device)}`);
    device.tuned.clear();
    let stopped = false;
    ui.onInterrupt(() => {
      stopped = true;
      ui.onInterrupt(null);
      ui.note("Interrupted: keeping what was measured so far. Ctrl-C again leaves at once.");
    });
    let progress: Progress | null = null;
    const began = performance.now();
    const rows: string[][] = [];
    const tuning = await tune(device, asked, {
      seconds: flags.seconds,
      cpuTime,
      stop: () => stopped,
      onProgress: (done, total, what) => {
        progress ??= ui.progress("Tuning", total);
        progress.update(done, what);
      },
      onChoice: (choice) => {
        const entry = ladderOf(choice.op);
        const rule = entry.ladder.rule(device, entry.workload(choice.shape).problem).step;
        const [mine, theirs] = [choice.seconds[choice.step]!, choice.seconds[rule]];
        const gain = theirs === undefined ? "–" : `${(theirs / mine).toFixed(2)}x`;
        rows.push([choice.op, choice.shape, choice.step, milliseconds(mine), rule, gain]);
      },
    });
    ui.done();
    ui.onInterrupt(null);
    const path = await saveTuning(device, tuning);
    ui.result(formatTable(["op", "shape", "fastest", "ms", "by rule", "gain"], rows, [0, 1, 2, 4]));
    const took = formatSeconds((performance.now() - began) / 1000);
    const count = tuning.choices.length;
    ui.result(`\n${count} choice${count === 1 ? "" : "s"} in ${took}, kept in ${path}`);
    ui.document({ path, ...tuning });
    if (stopped) context.exit(EXIT.interrupted);
  });
}

/** `wgrad kernels new`. */
export async function runNew(op: string, file: string | undefined, ui: Ui): Promise<void> {
  const entry = ladderOf(op);
  const path = file ?? `${op}.wgsl`;
  await writeTemplate(entry, path);
  ui.result(
    `Wrote ${path}: the contract of ${op}, and a plain kernel that is right.\n` +
      `  wgrad kernels check --kernel ${op}=${path}\n  wgrad kernels bench --kernel ${op}=${path}`,
  );
  ui.document({ op, file: path });
}
