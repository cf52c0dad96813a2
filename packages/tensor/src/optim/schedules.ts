import { ValueError } from "../errors.js";

/** Names of the schedules, as `transformers.SchedulerType`. */
export type SchedulerType =
  | "linear"
  | "cosine"
  | "cosine_with_restarts"
  | "polynomial"
  | "constant"
  | "constant_with_warmup"
  | "inverse_sqrt";

/** Settings of a schedule; those that a kind does not use are ignored. */
export interface ScheduleOptions {
  /** Learning rate of the optimizer, the peak of the schedule. */
  lr: number;
  numWarmupSteps?: number;
  numTrainingSteps: number;
  /** Cosine: waves (default 0.5); with restarts: number of them (default 1). */
  numCycles?: number;
  /** Polynomial: exponent (default 1). */
  power?: number;
  /** Polynomial: rate at the end (default 1e-7). */
  lrEnd?: number;
  /** Inverse square root: steps (default the warm-up's, or 10,000 without). */
  timescale?: number;
}

/** Names of all schedules. */
export const SCHEDULER_TYPES: readonly SchedulerType[] = [
  "linear",
  "cosine",
  "cosine_with_restarts",
  "polynomial",
  "constant",
  "constant_with_warmup",
  "inverse_sqrt",
];

/**
 * The learning rate as a function of the number of optimizer steps made (0 for the first), as `transformers.get_scheduler`.
 * @throws ValueError for an unknown name
 */
export function getScheduler(name: SchedulerType, options: ScheduleOptions): (step: number) => number {
  const { lr, numWarmupSteps: warmup = 0, numTrainingSteps: total } = options;
  const progress = (step: number) => (step - warmup) / Math.max(1, total - warmup);
  const warmed = (factor: (step: number) => number) => (step: number) =>
    lr * (step < warmup ? step / Math.max(1, warmup) : factor(step));
  switch (name) {
    case "constant":
      return () => lr;
    case "constant_with_warmup":
      return warmed(() => 1);
    case "linear":
      return warmed((step) => Math.max(0, (total - step) / Math.max(1, total - warmup)));
    case "cosine": {
      const cycles = options.numCycles ?? 0.5;
      return warmed((step) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress(step)))));
    }
    case "cosine_with_restarts": {
      const cycles = options.numCycles ?? 1;
      return warmed((step) => {
        const at = progress(step);
        return at >= 1 ? 0 : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((cycles * at) % 1))));
      });
    }
    case "polynomial": {
      const { power = 1, lrEnd = 1e-7 } = options;
      if (lrEnd >= lr)
        throw new ValueError(
          `polynomial schedule: the rate at the end (${lrEnd}) is not below the initial rate (${lr}).`,
        );
      return warmed((step) =>
        step > total
          ? lrEnd / lr
          : ((lr - lrEnd) * (1 - (step - warmup) / (total - warmup)) ** power + lrEnd) / lr,
      );
    }
    case "inverse_sqrt": {
      const timescale = options.timescale ?? (warmup || 10_000);
      return warmed((step) => 1 / Math.sqrt((step + timescale - warmup) / timescale));
    }
    default:
      throw new ValueError(`unknown schedule "${name as string}". There are ${SCHEDULER_TYPES.join(", ")}.`);
  }
}
