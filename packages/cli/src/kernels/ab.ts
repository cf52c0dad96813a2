import type { Device } from "@wgrad/tensor";
import { type OwnKernelReport, spreadOf } from "@wgrad/tensor/lab";
import { Profiler } from "@wgrad/tensor/profiler";
import { type LogEntry, Trainer, type TrainerCallback } from "@wgrad/trainer";
import { withDevice } from "../device.js";
import { UsageError } from "../errors.js";
import { formatTable } from "../text/table.js";
import { collatorOf } from "../training/data.js";
import { machine } from "../training/monitor.js";
import { formatSeconds, type Progress, type Ui } from "../ui.js";
import { expectStep, ownKernelsJson, useOwnKernels } from "./own.js";
import { type Subject, subjectOf } from "./subject.js";
import { cpuTime, parseName } from "./verbs.js";

/** One of the two kernels: a step of a ladder, or a user's file. */
interface Side {
  readonly text: string;
  readonly op: string;
  /** Null for a file. */
  readonly step: string | null;
}

/** What training with one kernel gave. */
interface SideResult {
  readonly kernel: string;
  /** Loss of each step. */
  readonly losses: readonly number[];
  /** Median of a step, from its beginning until its loss is read. */
  readonly step_seconds: number;
  /** The same in processor time, all threads: on a software adapter that holds the GPU's work. */
  readonly step_cpu_seconds: number;
  /** Time of the op's dispatches in a step, and of all of them; null without timestamp queries. */
  readonly op_seconds: number | null;
  readonly gpu_seconds: number | null;
  readonly op_share: number | null;
  readonly op_dispatches: number;
  readonly dispatches: number;
}

/** Steps after the compared ones that are timed dispatch by dispatch. */
const PROFILED = 2;
/** Steps before times count: compiled in the first, recorded for replay in those after. */
const WARM_UP = 3;

/** `wgrad kernels ab`. */
export async function runAb(
  a: string,
  b: string,
  flags: { recipe?: string; steps: number; force?: boolean },
  ui: Ui,
): Promise<void> {
  const sides = [a, b].map(parseSide) as [Side, Side];
  const { op } = sides[0];
  if (sides[1].op !== op) {
    throw new UsageError(
      `${a} is a kernel of ${op}, ${b} one of ${sides[1].op}: compare two of the same op.`,
    );
  }
  await withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    const reports: OwnKernelReport[] = [];
    // Both are checked before the first step is trained.
    for (const side of sides) reports.push(...(await choose(device, side, flags.force ?? false, ui)));
    const subject = await subjectOf(device, flags.recipe, ui);
    ui.note(`Training ${flags.steps} steps of ${subject.title} with each`);
    const results: SideResult[] = [];
    for (const side of sides) {
      await choose(device, side, true, null);
      const progress = ui.progress(side.text, flags.steps + PROFILED);
      results.push(await trainWith(device, side, subject, flags.steps, progress));
      progress.finish();
    }
    const [first, second] = results as [SideResult, SideResult];
    const parting = partingOf(first.losses, second.losses);
    ui.result(formatSides(op, first, second));
    ui.result(`\n${describeParting(parting, first, second)}`);
    ui.document({
      op,
      recipe: flags.recipe ?? null,
      steps: flags.steps,
      kernels: results,
      own: ownKernelsJson(reports),
      ...parting,
      machine: machine(device),
    });
  });
}

function parseSide(text: string): Side {
  const at = text.indexOf("=");
  if (at > 0) return { text, op: text.slice(0, at), step: null };
  const { entry, step } = parseName(text);
  if (step === null) {
    throw new UsageError(
      `${text}: name a step of it (${entry.ladder.steps.map(({ name }) => `${text}/${name}`).join(", ")}), or a file: ${text}=mine.wgsl.`,
    );
  }
  return { text, op: entry.ladder.op, step };
}

/** Puts a side's kernel in force on the device, alone. A file is checked where `ui` is there to tell. */
async function choose(device: Device, side: Side, force: boolean, ui: Ui | null): Promise<OwnKernelReport[]> {
  const { op, step, text } = side;
  device.ownKernels.delete(op);
  device.variants.delete(op);
  if (step !== null) {
    expectStep(device, parseName(`${op}/${step}`).entry, step);
    device.variants.set(op, step);
    return [];
  }
  return useOwnKernels(device, [text], ui ? { force, ui } : { force, unchecked: true });
}

async function trainWith(
  device: Device,
  side: Side,
  subject: Subject,
  steps: number,
  progress: Progress,
): Promise<SideResult> {
  const model = await subject.fresh();
  const profiler = new Profiler(device, { model });
  const watch = new StepWatch(profiler, steps, progress);
  const trainer = new Trainer({
    model,
    args: {
      ...subject.args,
      loggingStrategy: "steps",
      loggingSteps: 1,
      evalStrategy: "no",
      saveStrategy: "no",
      loadBestModelAtEnd: false,
      numTrainEpochs: Math.max(subject.args.numTrainEpochs, steps + PROFILED),
    },
    trainDataset: subject.train,
    dataCollator: collatorOf(subject.tokenizer, subject.batches),
    callbacks: [watch],
  });
  await trainer.train();
  model.dispose();
  const profile = profiler.profile();
  const dispatches = profile.steps.flatMap((step) => step.dispatches);
  // `softmax/4-online` and `softmax+mask/4-online` are of softmax, `softmax.backward/1-naive` is not.
  const { op } = side;
  const mine = dispatches.filter(
    ({ kernel }) => kernel.startsWith(op) && /[/+]/.test(kernel.charAt(op.length)),
  );
  const seconds = (list: typeof dispatches) =>
    list.reduce((sum, { duration }) => sum + duration, 0) / 1e9 / PROFILED;
  const timed = profile.timing === "dispatch";
  return {
    kernel: side.text,
    losses: watch.losses,
    step_seconds: spreadOf(watch.walls).median,
    step_cpu_seconds: spreadOf(watch.cpus).median,
    op_seconds: timed ? seconds(mine) : null,
    gpu_seconds: timed ? seconds(dispatches) : null,
    op_share: timed ? seconds(mine) / seconds(dispatches) : null,
    op_dispatches: mine.length / PROFILED,
    dispatches: dispatches.length / PROFILED,
  };
}

/** Reads the loss of every step and times it; some steps more are timed dispatch by dispatch. */
class StepWatch implements TrainerCallback {
  readonly losses: number[] = [];
  readonly walls: number[] = [];
  readonly cpus: number[] = [];
  readonly #profiler: Profiler;
  readonly #steps: number;
  readonly #progress: Progress;
  #wall = 0;
  #cpu = 0;

  constructor(profiler: Profiler, steps: number, progress: Progress) {
    this.#profiler = profiler;
    this.#steps = steps;
    this.#progress = progress;
  }

  async onStepBegin({ state }: { state: { globalStep: number } }): Promise<void> {
    if (state.globalStep >= this.#steps) await this.#profiler.begin();
    [this.#wall, this.#cpu] = [performance.now(), cpuTime()];
  }

  async onStepEnd({
    state,
    control,
  }: {
    state: { globalStep: number };
    control: { shouldTrainingStop: boolean };
  }): Promise<void> {
    if (state.globalStep > this.#steps) await this.#profiler.end();
    if (state.globalStep >= this.#steps + PROFILED) control.shouldTrainingStop = true;
    this.#progress.update(state.globalStep);
  }

  onLog({ logs }: { logs: LogEntry }): void {
    if (logs.loss === undefined || logs.step > this.#steps) return;
    this.losses.push(logs.loss);
    if (logs.step <= WARM_UP && this.#steps > WARM_UP) return;
    this.walls.push((performance.now() - this.#wall) / 1000);
    this.cpus.push(cpuTime() - this.#cpu);
  }
}

/** Where two lists of losses part. */
interface Parting {
  /** Null where all are the same. */
  readonly first_difference: { readonly step: number; readonly by: number } | null;
  readonly largest_difference: { readonly step: number; readonly by: number } | null;
  /** The largest, over the loss there. */
  readonly largest_relative: number;
}

function partingOf(a: readonly number[], b: readonly number[]): Parting {
  const by = a.map((loss, i) => Math.abs(loss - (b[i] ?? Number.NaN)));
  const first = by.findIndex((value) => value !== 0);
  if (first < 0) return { first_difference: null, largest_difference: null, largest_relative: 0 };
  const most = by.reduce((best, value, i) => (value > by[best]! ? i : best), 0);
  return {
    first_difference: { step: first + 1, by: by[first]! },
    largest_difference: { step: most + 1, by: by[most]! },
    largest_relative: by[most]! / Math.abs(a[most]!),
  };
}

function formatSides(op: string, a: SideResult, b: SideResult): string {
  const line = (title: string, value: (side: SideResult) => string) => [title, value(a), value(b)];
  const share = ({ op_share }: SideResult) => (op_share === null ? "–" : `${(100 * op_share).toFixed(1)}%`);
  const loss = (value: number | undefined) => value?.toPrecision(7) ?? "–";
  return formatTable(
    ["", a.kernel, b.kernel],
    [
      line("step, median", ({ step_seconds }) => formatSeconds(step_seconds)),
      line("step, CPU", ({ step_cpu_seconds }) => formatSeconds(step_cpu_seconds)),
      line(`${op} in it`, ({ op_seconds }) => (op_seconds === null ? "–" : formatSeconds(op_seconds))),
      line("share of the step", share),
      line("dispatches of it", (side) => `${side.op_dispatches} of ${side.dispatches}`),
      line("loss of step 1", ({ losses }) => loss(losses[0])),
      line(`loss of step ${a.losses.length}`, ({ losses }) => loss(losses.at(-1))),
    ],
  );
}

function describeParting(parting: Parting, a: SideResult, b: SideResult): string {
  const { first_difference: first, largest_difference: most } = parting;
  const lines =
    a.op_dispatches === 0 && b.op_dispatches === 0
      ? ["Neither ran: no dispatch of the step is of this op. Both trained with the same kernels."]
      : [];
  if (a.op_share === null)
    lines.push("This adapter has no timestamp queries: the share of the step is not known.");
  if (!first || !most) lines.push(`The losses are the same, bit for bit, over ${a.losses.length} steps.`);
  else
    lines.push(
      `The losses part at step ${first.step}, by ${first.by.toExponential(1)}; at most by ${most.by.toExponential(1)} (${parting.largest_relative.toExponential(1)} of the loss), at step ${most.step}.`,
    );
  return lines.join("\n");
}
