import type { Device } from "../device/device.js";
import { KernelError, WgradError } from "../errors.js";
import type { OwnKernel } from "../kernels/ladder.js";
import { type CheckResult, checkChosen, describeWorst, refusal } from "./check.js";
import type { LabEntry } from "./entry.js";

/** What checking a user's kernel found. */
export interface OwnKernelReport {
  readonly op: string;
  /** Name of the kernel: the file as the user gave it. */
  readonly kernel: string;
  /** True if at least one shape was taken and every one that was is right. */
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: readonly CheckResult[];
  /** Shapes that the kernel does not take; the ladder's rule serves them. */
  readonly skipped: readonly { readonly shape: string; readonly reason: string }[];
  /** What is wrong with the text: it does not compile, or lacks what the contract asks for. Null if it was run. */
  readonly error: string | null;
}

/** How a user's kernel is checked. */
export interface OwnKernelOptions {
  /** Shape texts; default the entry's check shapes, and on a GPU its smallest bench shape, which fills more of it. */
  readonly shapes?: readonly string[];
  /** Runs of each shape, default 3, on a GPU 10: a race need not show the first time. */
  readonly repeats?: number;
  readonly onProgress?: (done: number, total: number, shape: string) => void;
}

/** Texts seen under each name: the pipeline cache goes by name, so a changed text needs another. */
const seen = new Map<string, string[]>();

/** A user's kernel from the text of its file. @param name shown in errors and reports: the file */
export function ownKernel(name: string, source: string): OwnKernel {
  const texts = seen.get(name) ?? [];
  seen.set(name, texts);
  if (!texts.includes(source)) texts.push(source);
  const version = texts.indexOf(source);
  return { name: version === 0 ? name : `${name}#${version + 1}`, source };
}

/**
 * Compiles a user's kernel and compares it with the op's reference on every check shape. It stays out of use: see
 * `useOwnKernel`.
 */
export async function checkOwnKernel(
  device: Device,
  entry: LabEntry,
  kernel: OwnKernel,
  options: OwnKernelOptions = {},
): Promise<OwnKernelReport> {
  const { op } = entry.ladder;
  const before = device.ownKernels.get(op);
  const failed: CheckResult[] = [];
  const skipped: { shape: string; reason: string }[] = [];
  let passed = 0;
  const report = (error: string | null): OwnKernelReport => ({
    op,
    kernel: kernel.name,
    ok: error === null && failed.length === 0 && passed > 0,
    passed,
    failed,
    skipped,
    error,
  });
  try {
    const step = entry.ladder.own(kernel);
    const lacking = step.needs(device);
    if (lacking !== null) return report(`${kernel.name} needs ${lacking}; this adapter does not have that.`);
    device.ownKernels.set(op, kernel);
    const { software, repeats } = effortOn(device);
    const shapes = options.shapes ?? [...entry.checkShapes, ...(software ? [] : [leastBenchShape(entry)])];
    for (const [i, shape] of shapes.entries()) {
      options.onProgress?.(i, shapes.length, shape);
      const reason = refusal(device, step, entry.workload(shape));
      if (reason !== null) {
        skipped.push({ shape, reason });
        continue;
      }
      const result = await checkChosen(device, entry, shape, {
        name: kernel.name,
        repeats: options.repeats ?? repeats,
      });
      if (result.status === "passed") passed++;
      else if (result.reason?.includes("does not compile"))
        return report(compileError(kernel, result.reason));
      else failed.push(result);
    }
    options.onProgress?.(shapes.length, shapes.length, "");
    return report(
      passed + failed.length > 0 ? null : `${kernel.name} takes none of the check shapes of ${op}.`,
    );
  } catch (error) {
    if (!(error instanceof WgradError) || error.code === "E_DEVICE_LOST") throw error;
    return report(error.message);
  } finally {
    if (before) device.ownKernels.set(op, before);
    else device.ownKernels.delete(op);
  }
}

/** A software driver runs the invocations of a workgroup in the same order each time, a GPU does not. */
function effortOn(device: Device): { software: boolean; repeats: number } {
  const software = device.info.isFallbackAdapter;
  return { software, repeats: software ? 3 : 10 };
}

function leastBenchShape(entry: LabEntry): string {
  const bytes = (shape: string) => entry.workload(shape).bytes;
  return entry.benchShapes.reduce((a, b) => (bytes(b) < bytes(a) ? b : a));
}

/** The compiler's words with the user's own file, line and column before each. */
function compileError(kernel: OwnKernel, message: string): string {
  const lines = message
    .split("\n")
    .slice(1)
    .map((line) => line.replace(/^ *line (\d+):(\d+): /, `${kernel.name}:$1:$2: `));
  return `${kernel.name} does not compile:\n${lines.join("\n")}`;
}

/** Of two that are infinitely wrong the larger shape tells more. */
function isWorse(a: CheckResult, b: CheckResult): boolean {
  const [used, other] = [a.worst?.used ?? 0, b.worst?.used ?? 0];
  return used > other || (used === other && a.cells > b.cells);
}

/** A report in words: what was wrong first, with its worst cell and both values. */
export function describeOwnKernel(report: OwnKernelReport): string {
  const { op, kernel, passed, failed, skipped, error } = report;
  if (error !== null) return error;
  const left = skipped.length > 0 ? `; ${skipped.length} not taken (${skipped[0]!.reason})` : "";
  if (failed.length === 0) return `${kernel}: right on all ${passed} shapes of ${op}${left}`;
  const worst = failed.reduce((a, b) => (isWorse(b, a) ? b : a));
  const words = worst.reason ?? describeWorst(worst);
  return `${kernel} is wrong on ${failed.length} of ${failed.length + passed} shapes of ${op}${left}\n  ${op} ${worst.shape}: ${words}`;
}

/**
 * Checks a user's kernel and puts it in the place of the engine's.
 * @param options.force puts it there even if it is wrong, unless it does not compile
 * @throws KernelError with the worst cell, or the compiler's words, if it is refused
 */
export async function useOwnKernel(
  device: Device,
  entry: LabEntry,
  kernel: OwnKernel,
  options: OwnKernelOptions & { readonly force?: boolean } = {},
): Promise<OwnKernelReport> {
  const report = await checkOwnKernel(device, entry, kernel, options);
  if (!report.ok && (report.error !== null || !options.force)) {
    throw new KernelError(describeOwnKernel(report));
  }
  device.ownKernels.set(entry.ladder.op, kernel);
  return report;
}
