import { noGrad, scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { ValueError, WgradError } from "../errors.js";
import { choose, type LadderStep } from "../kernels/ladder.js";
import { nearest } from "../nearest.js";
import type { Tensor } from "../tensor.js";
import type { LabEntry, Prepared, Workload } from "./entry.js";

/** The cell of a result that uses most of the tolerance. */
export interface Cell {
  /** Which of the op's results: `y`, `dWeight`. */
  readonly output: string;
  readonly index: readonly number[];
  readonly got: number;
  readonly want: number;
  /** |got - want| over what is allowed there: over 1 is wrong; infinite where just one of the two is NaN. */
  readonly used: number;
}

/** One step of a ladder on one shape. */
export interface CheckResult {
  readonly op: string;
  readonly step: string;
  readonly shape: string;
  readonly status: "passed" | "failed" | "skipped";
  /** Why it was skipped, or what was thrown. */
  readonly reason: string | null;
  /** Null where nothing was compared: skipped, thrown, or every cell exactly as expected. */
  readonly worst: Cell | null;
  /** Cells out of tolerance, and cells in all. */
  readonly wrong: number;
  readonly cells: number;
}

/** What to check. */
export interface CheckOptions {
  /** Names of steps; default all of the ladder. */
  readonly steps?: readonly string[];
  /** Shape texts; default the entry's check shapes. */
  readonly shapes?: readonly string[];
  /**
   * Runs of each step and shape, default 2. A race need not show the first time. Before each the memory that results will lie
   * in is filled with NaN, so that a cell that is not written is found even if an earlier run left the right number there.
   */
  readonly repeats?: number;
  readonly onResult?: (result: CheckResult) => void;
  /** Called between two shapes; true ends the check. */
  readonly stop?: () => boolean;
}

/** The entry of an op. @throws ValueError with the nearest name */
export function entryOf(entries: readonly LabEntry[], op: string): LabEntry {
  const found = entries.find((entry) => entry.ladder.op === op);
  if (found) return found;
  const names = entries.map((entry) => entry.ladder.op);
  throw new ValueError(
    `there is no ladder ${op}. Did you mean ${nearest(op, names)}? There are: ${names.join(", ")}.`,
  );
}

/** Why a step cannot be run for a workload on a device; null if it can. */
export function refusal(
  device: Device,
  step: LadderStep<unknown>,
  { shape, problem }: Pick<Workload, "shape" | "problem">,
): string | null {
  const lacking = step.needs(device);
  if (lacking !== null) return `needs ${lacking}`;
  if (/\b(f16|mixed)\b/.test(shape) && !device.features.has("shader-f16"))
    return "f16, which the adapter lacks";
  return step.fits?.(problem, device) ?? null;
}

/**
 * Compares steps of a ladder with the reference on every check shape. The kernel in `device.ownKernels`, if there is one, is
 * set aside meanwhile.
 */
export async function checkEntry(
  device: Device,
  entry: LabEntry,
  options: CheckOptions = {},
): Promise<CheckResult[]> {
  const { ladder } = entry;
  const wanted = options.steps ?? ladder.steps.map((step) => step.name);
  const results: CheckResult[] = [];
  const mine = device.ownKernels.get(ladder.op);
  const before = device.variants.get(ladder.op);
  device.ownKernels.delete(ladder.op);
  try {
    for (const shape of options.shapes ?? entry.checkShapes) {
      if (options.stop?.()) break;
      const subject = new Subject(device, entry, shape);
      try {
        for (const name of wanted) {
          const step = ladder.steps.find((candidate) => candidate.name === name);
          if (!step) throw new ValueError(`${ladder.op} has no step ${name}.`);
          const refused = refusal(device, step, subject.workload);
          device.variants.set(ladder.op, name);
          const result = refused
            ? subject.skipped(name, refused)
            : await subject.check(name, options.repeats ?? 2);
          results.push(result);
          options.onResult?.(result);
        }
      } finally {
        subject.dispose();
      }
    }
  } finally {
    if (mine) device.ownKernels.set(ladder.op, mine);
    if (before === undefined) device.variants.delete(ladder.op);
    else device.variants.set(ladder.op, before);
  }
  return results;
}

/**
 * Compares whatever `choose` picks for a shape now with the reference.
 * @param name what to call it in the result; default the step's name
 */
export async function checkChosen(
  device: Device,
  entry: LabEntry,
  shape: string,
  options: { readonly name?: string; readonly repeats?: number } = {},
): Promise<CheckResult> {
  const subject = new Subject(device, entry, shape);
  try {
    const name = options.name ?? choose(device, entry.ladder, subject.workload.problem).step.name;
    return await subject.check(name, options.repeats ?? 2);
  } finally {
    subject.dispose();
  }
}

/** One shape on one device: inputs and reference are made once for all steps. */
class Subject {
  readonly workload;
  readonly #device: Device;
  readonly #entry: LabEntry;
  #prepared: Prepared | null = null;

  constructor(device: Device, entry: LabEntry, shape: string) {
    this.#device = device;
    this.#entry = entry;
    this.workload = entry.workload(shape);
  }

  skipped(step: string, reason: string): CheckResult {
    return this.#result(step, { status: "skipped", reason });
  }

  async check(step: string, repeats: number): Promise<CheckResult> {
    let worst: Cell | null = null;
    let wrong = 0;
    let cells = 0;
    try {
      this.#prepared ??= this.workload.prepare(this.#device);
      const prepared = this.#prepared;
      const expected = prepared.expected();
      for (let run = 0; run < repeats; run++) {
        poison(this.#device, expected);
        const outputs = noGrad(() => scope(() => prepared.run()));
        try {
          const found = await compareAll(outputs, expected, prepared.tolerance);
          wrong = Math.max(wrong, found.wrong);
          cells = found.cells;
          if (found.worst && !(found.worst.used <= (worst?.used ?? 0))) worst = found.worst;
        } finally {
          for (const tensor of Object.values(outputs)) tensor.dispose();
        }
        if (wrong > 0) break;
      }
    } catch (error) {
      if (!(error instanceof WgradError) || error.code === "E_DEVICE_LOST") throw error;
      return this.#result(step, { status: "failed", reason: error.message });
    }
    return this.#result(step, { status: wrong > 0 ? "failed" : "passed", worst, wrong, cells });
  }

  dispose(): void {
    this.#prepared?.dispose();
  }

  #result(step: string, parts: Partial<CheckResult> & Pick<CheckResult, "status">): CheckResult {
    const { shape } = this.workload;
    const blank = { reason: null, worst: null, wrong: 0, cells: 0 };
    return { op: this.#entry.ladder.op, step, shape, ...blank, ...parts };
  }
}

/** Fills the free buffers that results of these sizes will get with the bits of NaN. */
function poison(device: Device, expected: ReturnType<Prepared["expected"]>): void {
  device.submit();
  const taken = Object.values(expected).flatMap(({ length }) =>
    // f32 and f16 results lie in buffers of different size classes.
    [4, 2].flatMap((bytes) => {
      const ones = new Uint8Array(Math.max(16, (length * bytes + 3) & ~3)).fill(0xff);
      return [device.upload(ones), device.upload(ones)];
    }),
  );
  for (const buffer of taken) device.pool.release(buffer);
}

/** @throws ValueError if results and reference have different names or sizes, which is the entry's fault, not the kernel's */
async function compareAll(
  outputs: Readonly<Record<string, Tensor>>,
  expected: ReturnType<Prepared["expected"]>,
  tolerance: Prepared["tolerance"],
): Promise<{ worst: Cell | null; wrong: number; cells: number }> {
  let worst: Cell | null = null;
  let [wrong, cells] = [0, 0];
  for (const [output, want] of Object.entries(expected)) {
    const tensor = outputs[output];
    if (!tensor || tensor.numel !== want.length) {
      throw new ValueError(
        `the reference has ${want.length} numbers for ${output}, the op gave ${tensor ? tensor.numel : "nothing"}.`,
      );
    }
    const found = compare(await tensor.toArray(), want, tolerance);
    wrong += found.wrong;
    cells += want.length;
    if (found.at >= 0 && !(found.used <= (worst?.used ?? 0))) {
      const index = unravel(found.at, tensor.shape);
      worst = { output, index, got: found.got, want: want[found.at]!, used: found.used };
    }
  }
  return { worst, wrong, cells };
}

/** The element that uses most of the tolerance; `at` is -1 if all are exactly as expected. */
export function compare(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { rtol, atol }: Prepared["tolerance"],
): { at: number; got: number; used: number; wrong: number } {
  let [at, used, wrong] = [-1, 0, 0];
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!];
    if (g === w || (Number.isNaN(g) && Number.isNaN(w))) continue;
    let share = Math.abs(g - w) / (atol + rtol * Math.abs(w));
    // NaN against a number, or infinity against infinity of the other sign or a number.
    if (Number.isNaN(share)) share = Number.POSITIVE_INFINITY;
    if (share > 1) wrong++;
    if (share > used) [at, used] = [i, share];
  }
  return { at, got: at < 0 ? Number.NaN : got[at]!, used, wrong };
}

function unravel(flat: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = flat;
  for (let d = shape.length - 1; d >= 0; d--) {
    index.unshift(rest % shape[d]!);
    rest = Math.floor(rest / shape[d]!);
  }
  return index;
}

/** `y[3, 17] is 0.25, expected 0.75 (1.2e+5 times the tolerance); 64 of 1024 cells are wrong` */
export function describeWorst(result: Pick<CheckResult, "worst" | "wrong" | "cells">): string {
  const { worst, wrong, cells } = result;
  if (!worst) return `${cells} cells exactly as expected`;
  const cell = `${worst.output}[${worst.index.join(", ")}] is ${number(worst.got)}, expected ${number(worst.want)}`;
  if (wrong === 0) return `${cell}: ${worst.used.toPrecision(2)} of the tolerance`;
  const times = Number.isFinite(worst.used)
    ? ` (${Number(worst.used.toPrecision(2))} times the tolerance)`
    : "";
  return `${cell}${times}; ${wrong} of ${cells} cells are wrong`;
}

function number(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : String(value);
}
