import { scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { KernelError, ValueError } from "../errors.js";
import { readSafetensors, type SafetensorsFile } from "../io/index.js";
import { formatShape, type Shape } from "../shape.js";
import { Tensor } from "../tensor.js";
import { compare, coordinates } from "./compare.js";
import { Attributes, type OpCase, type OpIndex, storedValues } from "./format.js";
import { movesData, opTable } from "./op-table.js";

/** Where reference values come from. No file system here: the caller reads. */
export interface OpFixtures {
  /** The parsed `index.json`. */
  readonly index: unknown;
  /** Bytes of a file that the index names, such as `matmul.safetensors`. */
  load(file: string): Uint8Array | Promise<Uint8Array>;
}

/** A case that did not pass, and where. */
export interface OpFailure {
  /** Such as `c03`. */
  readonly name: string;
  /** The result that is wrong, such as `out` or `grad.weight`; null where the operation itself failed. */
  readonly tensor: string | null;
  /** One line for people. */
  readonly message: string;
}

/** What came of one operation. */
export interface OpReport {
  /** PyTorch's name. */
  readonly op: string;
  readonly cases: number;
  readonly passed: number;
  readonly failed: number;
  /** Largest |got - want| over all elements of all results. */
  readonly largestError: number;
  /** Case and result in which it is, such as `c03 grad.a`; null if every result is equal to its reference. */
  readonly largestErrorAt: string | null;
  readonly failures: readonly OpFailure[];
}

/** Options of `verifyOps`. */
export interface VerifyOpsOptions {
  /** Operations to run; all of the index by default. */
  readonly only?: readonly string[] | undefined;
  /** Called after each case, for progress. */
  readonly onCase?: (event: {
    op: string;
    name: string;
    passed: boolean;
    done: number;
    total: number;
  }) => void;
}

/**
 * Runs reference cases of operations on a device, forward and backward, and compares every element.
 *
 * A float passes if `|got - want| <= atol + rtol * |want|` with the tolerances of the case; integers, bool and results of
 * operations that only move data must be equal. An operation that is not known here counts as failed.
 * @returns one row an operation, in the order of the index
 * @throws ValueError if the index is not of the format, or `only` names an operation that it does not have
 */
export async function verifyOps(
  device: Device,
  fixtures: OpFixtures,
  options: VerifyOpsOptions = {},
): Promise<OpReport[]> {
  const { ops } = checkIndex(fixtures.index);
  const names = options.only ?? Object.keys(ops);
  for (const name of names) {
    if (!ops[name]) throw new ValueError(`verify: there is no reference for the operation "${name}".`);
  }
  const total = names.reduce((count, name) => count + ops[name]!.cases.length, 0);
  let done = 0;
  const reports: OpReport[] = [];
  for (const op of names) {
    const { file, cases } = ops[op]!;
    const stored = readSafetensors(await fixtures.load(file), { file });
    const failures: OpFailure[] = [];
    let passed = 0;
    let largestError = 0;
    let largestErrorAt: string | null = null;
    for (const one of cases) {
      const results = await runCase(device, op, one, stored);
      const failure = results.find((result) => result.failure)?.failure;
      if (failure) failures.push(failure);
      else passed++;
      for (const { tensor, error } of results) {
        if (error <= largestError) continue;
        largestError = error;
        largestErrorAt = `${one.name} ${tensor}`;
      }
      done++;
      options.onCase?.({ op, name: one.name, passed: !failure, done, total });
    }
    reports.push({
      op,
      cases: cases.length,
      passed,
      failed: cases.length - passed,
      largestError,
      largestErrorAt,
      failures,
    });
  }
  return reports;
}

function checkIndex(index: unknown): OpIndex {
  const ops = (index as Partial<OpIndex> | null)?.ops;
  const good =
    typeof ops === "object" &&
    ops !== null &&
    Object.values(ops).every((entry) => typeof entry?.file === "string" && Array.isArray(entry.cases));
  if (!good) throw new ValueError('verify: the index holds no "ops" with a file and a list of cases each.');
  return { ops };
}

interface Result {
  readonly tensor: string | null;
  readonly error: number;
  readonly failure?: OpFailure;
}

/** Runs a case and compares each stored result. An error of the operation is a failure of the case. */
async function runCase(device: Device, op: string, one: OpCase, stored: SafetensorsFile): Promise<Result[]> {
  const inputs: Record<string, Tensor> = {};
  let outputs: Tensor[] = [];
  try {
    const run = opTable[op];
    if (!run) throw new ValueError("this version of the engine does not know the operation.");
    const value = (name: string) => storedValues(stored.get(`${one.name}.${name}`));
    const grads = one.grads ?? [];
    for (const [name, { shape }] of Object.entries(one.inputs)) {
      const requiresGrad = grads.includes(name);
      inputs[name] = Tensor.from(device, value(`in.${name}`), shape, { requiresGrad }).keep();
    }
    outputs = scope(() => {
      const made = run(inputs, new Attributes(one.attrs));
      const list = Array.isArray(made) ? made : [made];
      if (grads.length > 0) runBackward(one, list, value);
      return list;
    });
    const results: Result[] = [];
    if (outputs.length !== one.outputs.length) {
      throw new ValueError(`${outputs.length} results, expected ${one.outputs.length}.`);
    }
    for (const [i, name] of one.outputs.entries()) {
      results.push(await check(op, one, name, outputs[i]!, stored));
    }
    for (const name of grads) {
      results.push(await check(op, one, `grad.${name}`, inputs[name]!.grad, stored));
    }
    return results;
  } catch (error) {
    const message = await wholeMessage(device, error);
    return [{ tensor: null, error: 0, failure: { name: one.name, tensor: null, message } }];
  } finally {
    for (const tensor of [...outputs, ...Object.values(inputs)]) tensor.dispose();
  }
}

/**
 * The message of an error, or of the kernel error behind it: a kernel that does not compile is reported after the commands
 * that use it. Takes the errors that are still to come, so that they are not laid at the next case's door.
 */
async function wholeMessage(device: Device, error: unknown): Promise<string> {
  let cause = error;
  for (let late = 0; late < 3; late++) {
    try {
      await device.synchronize();
      break;
    } catch (next) {
      if (next instanceof KernelError) cause = next;
    }
  }
  return cause instanceof Error ? cause.message : String(cause);
}

/** The gradients for the stored gradient of each output: those of the scalar sum of (output · its gradient). */
function runBackward(
  one: OpCase,
  outputs: readonly Tensor[],
  value: (name: string) => Float32Array | Int32Array | Uint8Array,
): void {
  const differentiable = one.outputs.flatMap((name, i) =>
    name === "out" || name.startsWith("out.") ? [{ name: `grad_${name}`, y: outputs[i]! }] : [],
  );
  const gradientOf = (name: string, y: Tensor) => Tensor.from(y.device, value(name), y.shape);
  const [only] = differentiable;
  if (differentiable.length === 1 && only) {
    only.y.backward({ gradient: gradientOf(only.name, only.y) });
    return;
  }
  differentiable
    .map(({ name, y }) => y.mul(gradientOf(name, y)).sum())
    .reduce((total, term) => total.add(term))
    .backward();
}

async function check(
  op: string,
  one: OpCase,
  tensor: string,
  got: Tensor | null,
  stored: SafetensorsFile,
): Promise<Result> {
  const fail = (message: string, error: number): Result => {
    return { tensor, error, failure: { name: one.name, tensor, message: `${tensor}: ${message}` } };
  };
  if (!got) return fail("no gradient came.", 0);
  const view = stored.get(`${one.name}.${tensor}`);
  const wanted: Shape = view.shape;
  if (formatShape(got.shape) !== formatShape(wanted)) {
    return fail(`its shape is ${formatShape(got.shape)}, expected ${formatShape(wanted)}.`, 0);
  }
  const want = storedValues(view);
  const values = await got.toArray();
  if (values.constructor !== want.constructor) {
    return fail(`its dtype is ${got.dtype}, the reference is ${view.dtype}.`, 0);
  }
  const exact = !(want instanceof Float32Array) || (movesData.has(op) && tensor.startsWith("out"));
  const tolerance = exact ? { rtol: 0, atol: 0 } : one.tol[tensor];
  if (!tolerance) return fail("the index has no tolerance for it.", 0);
  const difference = compare(values, want, tolerance);
  if (difference.element === null) return { tensor, error: difference.error };
  const place = `[${coordinates(difference.element, wanted).join(", ")}]`;
  const allowed = exact ? "equality" : `${tolerance.atol} + ${tolerance.rtol} * |want|`;
  return fail(
    `${difference.got} at ${place}, expected ${difference.want} (within ${allowed}).`,
    difference.error,
  );
}
