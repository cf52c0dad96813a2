import { ValueError } from "../errors.js";

/** Names of the schedules, as `transformers.SchedulerType`. */
export type SchedulerType =
  | "linear"
  | "cosine"
  | "cosine_with_restarts"
  | "polynomial"
  | "constant"
  | "constant_with_warmup"
  | "inverse_sqrt"
  | "cosine_with_min_lr"
  | "cosine_warmup_with_min_lr"
  | "warmup_stable_decay";

/** How a rate climbs or falls between its lowest and its highest value in `warmup_stable_decay`. */
export type RampType = "linear" | "cosine" | "1-sqrt";

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
  /** Cosine with a least rate: that rate; give it or `minLrRate`. */
  minLr?: number;
  /** Cosine with a least rate: its share of `lr`. */
  minLrRate?: number;
  /** `cosine_warmup_with_min_lr`: share of `lr` that the warm-up begins with. Default: 1 / `numWarmupSteps`. */
  warmupLrRate?: number;
  /** `warmup_stable_decay`: steps of the decay; must be given. */
  numDecaySteps?: number;
  /** `warmup_stable_decay`: steps at the peak. Default: all that are neither warm-up nor decay. */
  numStableSteps?: number;
  /** `warmup_stable_decay`. Default "linear". */
  warmupType?: RampType;
  /** `warmup_stable_decay`. Default "cosine". */
  decayType?: RampType;
  /** `warmup_stable_decay`: share of `lr` at the beginning and the end. Default 0. */
  minLrRatio?: number;
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
  "cosine_with_min_lr",
  "cosine_warmup_with_min_lr",
  "warmup_stable_decay",
];

const RAMPS: readonly RampType[] = ["linear", "cosine", "1-sqrt"];

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
    case "cosine_with_min_lr": {
      const least = leastShare(name, options);
      const cycles = options.numCycles ?? 0.5;
      return warmed((step) =>
        Math.max(0, 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress(step))) * (1 - least) + least),
      );
    }
    case "cosine_warmup_with_min_lr": {
      const least = leastShare(name, options);
      const { numCycles = 0.5, warmupLrRate: start } = options;
      const factor = (step: number) => {
        if (step < warmup)
          return start === undefined
            ? (step + 1) / Math.max(1, warmup)
            : start + ((1 - start) * step) / Math.max(1, warmup - 1);
        const at = (step - warmup + 1) / Math.max(1, total - warmup);
        return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * numCycles * 2 * at)) * (1 - least) + least);
      };
      return (step) => lr * factor(step);
    }
    case "warmup_stable_decay":
      return warmupStableDecay(options);
    default:
      throw new ValueError(`unknown schedule "${name as string}". There are ${SCHEDULER_TYPES.join(", ")}.`);
  }
}

/** The least rate as a share of the peak. */
function leastShare(name: string, { lr, minLr, minLrRate }: ScheduleOptions): number {
  if ((minLr === undefined) === (minLrRate === undefined))
    throw new ValueError(`${name} schedule: give one of minLr and minLrRate.`);
  return minLrRate ?? minLr! / lr;
}

/** Up to the peak, there for a while, down again. Source: Hu et al. 2024, "MiniCPM". */
function warmupStableDecay(options: ScheduleOptions): (step: number) => number {
  const { lr, numWarmupSteps: warmup = 0, numDecaySteps: decay, numTrainingSteps: total } = options;
  const { warmupType = "linear", decayType = "cosine", minLrRatio: least = 0, numCycles = 0.5 } = options;
  if (decay === undefined) throw new ValueError("warmup_stable_decay schedule: numDecaySteps is missing.");
  for (const type of [warmupType, decayType])
    if (!RAMPS.includes(type))
      throw new ValueError(
        `warmup_stable_decay schedule: "${type}" is no way to climb or fall. There are ${RAMPS.join(", ")}.`,
      );
  const stable = options.numStableSteps ?? total - warmup - decay;
  const climb = (at: number) => {
    if (warmupType === "cosine") return 0.5 * (1 - Math.cos(Math.PI * at));
    return warmupType === "linear" ? at : 1 - Math.sqrt(1 - at);
  };
  const fall = (at: number) => {
    if (decayType === "cosine") return 0.5 * (1 + Math.cos(Math.PI * numCycles * 2 * at));
    return decayType === "linear" ? 1 - at : 1 - Math.sqrt(at);
  };
  const between = (factor: number) => Math.max(0, factor * (1 - least) + least);
  return (step) => {
    if (step < warmup) return lr * between(climb(step / Math.max(1, warmup)));
    if (step < warmup + stable) return lr;
    const at = (step - warmup - stable) / Math.max(1, decay);
    return lr * (step < warmup + stable + decay ? between(fall(at)) : least);
  };
}
