import {
  getScheduler,
  ReduceLROnPlateau,
  type ReduceLROnPlateauState,
  type ScheduleOptions,
} from "@wgrad/tensor";
import { TrainerError } from "./errors.js";
import { fromSnakeCase, type TrainingArguments } from "./training-arguments.js";

/** A schedule of the learning rate that takes note of evaluations and has a state. */
export interface LrScheduler {
  /** The rate of a step, 0 for the first. */
  rate(step: number): number;
  /** After each evaluation, with the metric for the best model. */
  onEvaluate?(metric: number): void;
  /** For a checkpoint; plain JSON. */
  stateDict?(): Record<string, unknown>;
  loadStateDict?(state: Record<string, unknown>): void;
}

/** What `createScheduler` may return: the rate as a function of the step, or a schedule with a state. */
export type Schedule = ((step: number) => number) | LrScheduler;

/** A schedule of either form as the fuller one. */
export function asScheduler(schedule: Schedule): LrScheduler {
  return typeof schedule === "function" ? { rate: schedule } : schedule;
}

const CYCLES = ["num_cycles"];
/** Names of `lrSchedulerKwargs` by kind of schedule. */
const KWARGS: Readonly<Record<TrainingArguments["lrSchedulerType"], readonly string[]>> = {
  linear: [],
  constant: [],
  constant_with_warmup: [],
  cosine: CYCLES,
  cosine_with_restarts: CYCLES,
  polynomial: ["power", "lr_end"],
  inverse_sqrt: ["timescale"],
  cosine_with_min_lr: [...CYCLES, "min_lr", "min_lr_rate"],
  cosine_warmup_with_min_lr: [...CYCLES, "min_lr", "min_lr_rate", "warmup_lr_rate"],
  warmup_stable_decay: [
    ...CYCLES,
    "num_decay_steps",
    "num_stable_steps",
    "warmup_type",
    "decay_type",
    "min_lr_ratio",
  ],
  reduce_lr_on_plateau: [
    "mode",
    "factor",
    "patience",
    "threshold",
    "threshold_mode",
    "cooldown",
    "min_lr",
    "eps",
  ],
};

/**
 * The schedule that the arguments name.
 * @param greaterIsBetter of the metric for the best model, for `reduce_lr_on_plateau`
 * @throws TrainerError `E_ARG_VALUE` for `lrSchedulerKwargs` that it does not take
 */
export function makeSchedule(
  args: Readonly<TrainingArguments>,
  totalSteps: number,
  greaterIsBetter: boolean,
): Schedule {
  const kind = args.lrSchedulerType;
  const known = KWARGS[kind];
  for (const name of Object.keys(args.lrSchedulerKwargs)) {
    if (known.includes(name)) continue;
    const takes = known.length > 0 ? `It takes ${known.join(", ")}.` : "It takes none.";
    throw new TrainerError("E_ARG_VALUE", `lrSchedulerKwargs: the schedule ${kind} has no ${name}. ${takes}`);
  }
  const options = Object.fromEntries(
    Object.entries(args.lrSchedulerKwargs).map(([name, value]) => [fromSnakeCase(name), value]),
  );
  if (kind === "reduce_lr_on_plateau") {
    const plateau = new ReduceLROnPlateau(args.learningRate, {
      mode: greaterIsBetter ? "max" : "min",
      ...options,
    });
    return {
      rate: () => plateau.lr,
      onEvaluate: (metric) => void plateau.step(metric),
      stateDict: () => ({ ...plateau.stateDict() }),
      loadStateDict: (state) => plateau.loadStateDict(state as unknown as ReduceLROnPlateauState),
    };
  }
  const warmup = args.warmupSteps || args.warmupRatio;
  return getScheduler(kind, {
    lr: args.learningRate,
    numTrainingSteps: totalSteps,
    numWarmupSteps: warmup < 1 ? Math.ceil(warmup * totalSteps) : warmup,
    ...(options as Partial<ScheduleOptions>),
  });
}
