import { readFile } from "node:fs/promises";
import type { Device } from "@wgrad/tensor";
import {
  checkOwnKernel,
  describeOwnKernel,
  entries,
  entryOf,
  type LabEntry,
  type OwnKernelReport,
  ownKernel,
  useOwnKernel,
} from "@wgrad/tensor/lab";
import { CommandError, UsageError } from "../errors.js";
import type { Ui } from "../ui.js";
import { parseAssignment } from "./assignment.js";

/** A parser of commander for a flag that may be given several times. */
export function repeatable(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/** A user's kernel from its file. @throws UsageError if the file cannot be read */
async function readKernel(path: string) {
  try {
    return ownKernel(path, await readFile(path, "utf8"));
  } catch (cause) {
    throw new UsageError(
      `${path}: there is no such WGSL file. \`wgrad kernels new OP ${path}\` writes one.`,
      {
        cause,
      },
    );
  }
}

/** The ladder of an op. @throws UsageError with the nearest name */
export function ladderOf(op: string): LabEntry {
  try {
    return entryOf(entries, op);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

/** How users' kernels are put to use. */
export interface UseOptions {
  /** Takes a kernel that gives wrong results all the same. */
  readonly force?: boolean;
  /** Puts it in force without a check: only where it has been checked before. */
  readonly unchecked?: boolean;
  readonly ui?: Ui;
}

/**
 * Puts users' kernels in the place of the engine's for the life of the device: each is compiled and checked against its op's
 * reference first.
 * @param specs texts `op=file` of the flag `--kernel`
 * @throws CommandError `E_KERNEL_REFUSED` with the worst cell and both values, or the compiler's line and column
 */
export async function useOwnKernels(
  device: Device,
  specs: readonly string[],
  options: UseOptions = {},
): Promise<OwnKernelReport[]> {
  const reports: OwnKernelReport[] = [];
  for (const spec of specs) {
    const { op, value } = parseAssignment("--kernel", spec);
    const entry = ladderOf(op);
    const kernel = await readKernel(value);
    if (options.unchecked) {
      device.ownKernels.set(op, kernel);
      continue;
    }
    const progress = options.ui?.progress(`Checking ${value}`, entry.checkShapes.length);
    const report = await useOwnKernel(device, entry, kernel, {
      force: options.force ?? false,
      onProgress: (done, _, shape) => progress?.update(done, shape),
    }).catch((cause: Error) => {
      throw new CommandError(
        "E_KERNEL_REFUSED",
        `${cause.message}\n${value} is not used.${/does not compile/.test(cause.message) ? "" : " --force uses it all the same."}`,
        { cause },
      );
    });
    progress?.finish();
    const words = describeOwnKernel(report);
    options.ui?.note(
      report.ok ? `Your kernel for ${op}: ${words}` : `WRONG KERNEL in use (--force): ${words}`,
    );
    reports.push(report);
  }
  return reports;
}

/** Checks a user's kernel without using it. @param spec `op=file` */
export async function checkOwn(device: Device, spec: string, ui: Ui): Promise<OwnKernelReport> {
  const { op, value } = parseAssignment("--kernel", spec);
  const entry = ladderOf(op);
  const progress = ui.progress(`Checking ${value}`, entry.checkShapes.length);
  const report = await checkOwnKernel(device, entry, await readKernel(value), {
    onProgress: (done, _, shape) => progress.update(done, shape),
  });
  progress.finish();
  return report;
}

/**
 * Forces steps of our ladders.
 * @param specs texts `op=step` of the flag `--variant`
 * @throws UsageError for an op or a step that does not exist, or that this device cannot run
 */
export function useVariants(device: Device, specs: readonly string[]): void {
  for (const spec of specs) {
    const { op, value } = parseAssignment("--variant", spec);
    expectStep(device, ladderOf(op), value);
    device.variants.set(op, value);
  }
}

/** @throws UsageError if there is no step of that name, or the device cannot run it */
export function expectStep(device: Device, { ladder }: LabEntry, name: string): void {
  const step = ladder.steps.find((candidate) => candidate.name === name);
  const names = ladder.steps.map((candidate) => candidate.name).join(", ");
  if (!step) throw new UsageError(`${ladder.op} has no step ${name}. There are: ${names}.`);
  const lacking = step.needs(device);
  if (lacking !== null) {
    const able = ladder.steps.filter((other) => other.needs(device) === null).map((other) => other.name);
    throw new UsageError(
      `${ladder.op}: ${name} needs ${lacking}, which this adapter does not have. Here these can run: ${able.join(", ")}.`,
    );
  }
}

/** What a run's files say of users' kernels. */
export function ownKernelsJson(reports: readonly OwnKernelReport[]): Record<string, unknown>[] {
  return reports.map((report) => ({
    op: report.op,
    file: report.kernel,
    right: report.ok,
    shapes_passed: report.passed,
    shapes_failed: report.failed.length,
    ...(report.ok ? {} : { forced: true, what: describeOwnKernel(report) }),
  }));
}
