import { autocastDtype } from "../autograd/autocast.js";
import { isGradEnabled, scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { currentRecorder, recordTo } from "../device/recording.js";
import { CaptureError } from "../errors.js";
import { Tensor } from "../tensor.js";
import { PlanMemory } from "./memory.js";
import { Plan } from "./plan.js";
import { StepRecorder } from "./recorder.js";

/** What a captured step may be given: tensors are data; of plain values each combination gets a recording of its own. */
export type StepArgument =
  | Tensor
  | number
  | string
  | boolean
  | null
  | undefined
  | readonly StepArgument[]
  | { readonly [name: string]: StepArgument };

/** What became of the calls of a captured step. */
export interface CaptureStatistics {
  /** Calls that ran the step itself. */
  readonly recorded: number;
  /** Calls that repeated a recording. */
  readonly replayed: number;
  /** Recordings kept now. */
  readonly plans: number;
  /** Bytes of the buffers that belong to them. */
  readonly bytes: number;
}

/** A step that is recorded and replayed. It is called as the step itself. */
export interface CapturedStep<Arguments extends readonly StepArgument[], Result> {
  (...args: Arguments): Result;
  readonly statistics: CaptureStatistics;
  /** Frees the recordings. The next call records anew. */
  dispose(): void;
}

/** Options of `capture`. */
export interface CaptureOptions {
  /** Where the step takes no tensor: the device it works on. */
  readonly device?: Device;
  /** Recordings to keep; the one not used for longest goes first. Default 64. */
  readonly maxPlans?: number;
}

/** Calls of one kind that may fail to become a recording: the first makes the optimizer's state. */
const ATTEMPTS = 3;

interface Recorded {
  readonly plan: Plan;
  readonly result: unknown;
}

/**
 * Records the dispatches of a training step on its first calls and repeats them on later ones: no JavaScript of the step runs
 * then, buffers are planned by lifetime, bind groups are made. As CUDA graphs in PyTorch (`torch.cuda.make_graphed_callables`).
 *
 *     const trainStep = capture((inputIds, attentionMask, labels) => {
 *       const { loss } = model.forward({ inputIds, attentionMask, labels });
 *       loss.backward();
 *       optimizer.step();
 *       optimizer.zeroGrad();
 *       return loss.detach();
 *     });
 *     for (const batch of batches) {
 *       optimizer.paramGroups[0].lr = rate(step);
 *       const loss = trainStep(batch.inputIds, batch.attentionMask, batch.labels);
 *     }
 *
 * What may change between calls: the tensors given as arguments (same shapes and types), the optimizers' learning rates and
 * other settings, step counts, the place in a stream of random numbers, the contents of parameters. Other shapes, types or
 * plain arguments, a module in another mode or with other parts, parameters that are frozen or thawed, gradients that are
 * there or not, another choice of kernels: each gets a recording of its own, made by running the step, and the right one is
 * found at each call. Other values that the step reads from outside (a number in a variable) are as they were when it was
 * recorded: pass them as arguments.
 *
 * Each call submits its work. Tensors that the step returns are overwritten by its next replay. Tensors that it makes must
 * not outlive it in other ways, except gradients of leaves and what the first calls set up (an optimizer's moments).
 * Results are the same, bit for bit, as those of the step itself.
 * @throws CaptureError, from the call, if the step uploads data, changes an argument in place, keeps making tensors that
 *   outlive it, or is given a tensor that requires a gradient
 */
export function capture<const Arguments extends readonly StepArgument[], Result>(
  step: (...args: Arguments) => Result,
  options: CaptureOptions = {},
): CapturedStep<Arguments, Result> {
  const recordings = new Map<string, Recorded[]>();
  const failures = new Map<string, number>();
  let memory: PlanMemory | null = null;
  let recorded = 0;
  let replayed = 0;

  const forget = (entries: readonly Recorded[]) => {
    for (const { plan } of entries) plan.dispose();
  };

  const record = (device: Device, key: string, args: Arguments, inputs: readonly Tensor[]): Result => {
    recorded++;
    const recorder = new StepRecorder();
    device.submit();
    const result = recordTo(recorder, () => scope(() => step(...args)));
    device.submit();
    // Programs are being compiled: a plan needs them, and the next call will do.
    if (device.preparing) return result;
    const results: Tensor[] = [];
    mapTensors(result, (tensor) => {
      results.push(tensor);
      return tensor;
    });
    const reachable = new Set(results.map((tensor) => recorder.bindingOf(tensor.storage.buffer)));
    for (const leaf of recorder.subjects("gradient") as Tensor[]) {
      if (leaf.grad) reachable.add(recorder.bindingOf(leaf.grad.storage.buffer));
    }
    const escaped = recorder.temporaries.filter((t) => t.first >= 0 && !t.released && !reachable.has(t));
    if (escaped.length > 0) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      if (count >= ATTEMPTS) {
        const sizes = escaped.slice(0, 4).map((t) => `${t.bytes} bytes`);
        throw new CaptureError(
          `capture: ${escaped.length} tensors made in the step (${sizes.join(", ")}${escaped.length > 4 ? ", …" : ""}) are still ` +
            `held after it, at the ${count}rd call too. Return them, or let go of them: a loss whose backward is not called holds all ` +
            "that it was made from (use noGrad), and so does what was kept with keep().",
        );
      }
      return result;
    }
    failures.delete(key);
    memory ??= new PlanMemory(device);
    const plan = new Plan(device, memory, recorder, inputs, results);
    const entries = recordings.get(key) ?? [];
    // Recordings that no longer hold may hold again (training and evaluation take turns), up to a limit.
    recordings.delete(key);
    recordings.set(key, [{ plan, result: mapTensors(result, (tensor) => tensor) }, ...entries]);
    let total = [...recordings.values()].reduce((sum, list) => sum + list.length, 0);
    for (const [other, list] of recordings) {
      while (total > (options.maxPlans ?? 64) && list.length > 0) {
        forget([list.pop()!]);
        total--;
      }
      if (list.length === 0) recordings.delete(other);
    }
    return result;
  };

  const call = (...args: Arguments): Result => {
    // Part of a larger step that is being recorded.
    if (currentRecorder()) return step(...args);
    const tensors: Tensor[] = [];
    const key = describe(args, tensors);
    const device = tensors[0]?.device ?? options.device;
    if (!device)
      throw new CaptureError(
        "capture: the step takes no tensor; name its device: capture(step, { device }).",
      );
    return scope(() => {
      const packed = tensors.map((tensor, i) => ownMemory(tensor, tensors.slice(0, i)));
      const choices = `${[...device.variants].join()}|${[...device.ownKernels.keys()].join()}|${device.tuned.size}`;
      const full = `${isGradEnabled()}|${autocastDtype()}|${choices}|${key}`;
      const entries = recordings.get(full);
      const at = entries?.findIndex(({ plan }) => plan.holds()) ?? -1;
      const found = entries?.[at];
      if (!entries || !found) {
        let next = 0;
        const own = mapTensors(args, () => packed[next++]!) as unknown as Arguments;
        return record(device, full, own, packed);
      }
      replayed++;
      if (at > 0) entries.unshift(...entries.splice(at, 1));
      recordings.delete(full);
      recordings.set(full, entries);
      found.plan.replay(packed);
      return mapTensors(found.result, (tensor) => found.plan.resultOf(tensor)) as Result;
    });
  };

  return Object.defineProperties(call, {
    statistics: {
      get: (): CaptureStatistics => ({
        recorded,
        replayed,
        plans: [...recordings.values()].reduce((sum, list) => sum + list.length, 0),
        bytes: memory?.bytes ?? 0,
      }),
    },
    dispose: {
      value: () => {
        for (const entries of recordings.values()) forget(entries);
        recordings.clear();
        memory?.dispose();
        memory = null;
      },
    },
  }) as CapturedStep<Arguments, Result>;
}

/** The argument if a plan can copy from it, else a copy of it that it can: without gaps, at the start of memory of its own. */
function ownMemory(tensor: Tensor, others: readonly Tensor[]): Tensor {
  tensor.assertLive("capture");
  if (tensor.requiresGrad) {
    throw new CaptureError(
      `capture: the argument ${tensor.toString()} requires a gradient. Arguments are data: use parameters from outside, and detach() others.`,
    );
  }
  const alone = others.every((other) => other.storage !== tensor.storage);
  return tensor.isContiguous && tensor.offset === 0 && alone ? tensor : tensor.clone();
}

/** Text that is the same for arguments that can share a recording; collects their tensors. */
function describe(value: unknown, tensors: Tensor[]): string {
  if (value instanceof Tensor) {
    tensors.push(value);
    return `${value.dtype}[${value.shape.join()}]`;
  }
  if (Array.isArray(value)) return `[${value.map((item) => describe(item, tensors)).join()}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([name, item]) => `${name}:${describe(item, tensors)}`);
    return `{${entries.join()}}`;
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** A copy of a structure of arrays and plain objects with its tensors replaced, in the order of `describe`. */
function mapTensors(value: unknown, change: (tensor: Tensor) => Tensor): unknown {
  if (value instanceof Tensor) return change(value);
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, change));
  if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, mapTensors(item, change)]));
  }
  return value;
}
