import { ValueError } from "../errors.js";

/** Options of `ReduceLROnPlateau`, with PyTorch's names and defaults. */
export interface ReduceLROnPlateauOptions {
  /** Whether the metric should fall ("min", the default) or rise. */
  mode?: "min" | "max";
  /** What the rate is multiplied by. Default 0.1. */
  factor?: number;
  /** Evaluations without improvement that are put up with. Default 10. */
  patience?: number;
  /** Least improvement that counts. Default 1e-4. */
  threshold?: number;
  /** Whether `threshold` is a share of the best value ("rel", the default) or a difference. */
  thresholdMode?: "rel" | "abs";
  /** Evaluations after a reduction that do not count. Default 0. */
  cooldown?: number;
  /** The rate goes no lower. Default 0. */
  minLr?: number;
  /** Smallest change of the rate that is made. Default 1e-8. */
  eps?: number;
}

/** What a checkpoint keeps of a `ReduceLROnPlateau`. */
export interface ReduceLROnPlateauState {
  lr: number;
  /** Null before the first evaluation. */
  best: number | null;
  num_bad_epochs: number;
  cooldown_counter: number;
}

/**
 * Lowers the learning rate when a metric has stopped improving. Source: `torch.optim.lr_scheduler.ReduceLROnPlateau`.
 *
 *     const schedule = new ReduceLROnPlateau(5e-4, { patience: 1 });
 *     optimizer.paramGroups[0].lr = schedule.step(evalLoss);
 */
export class ReduceLROnPlateau {
  #lr: number;
  #best: number | null = null;
  #bad = 0;
  #cooling = 0;
  readonly #options: Required<ReduceLROnPlateauOptions>;

  /**
   * @param lr the rate to begin with
   * @throws ValueError for a factor that does not lower the rate
   */
  constructor(lr: number, options: ReduceLROnPlateauOptions = {}) {
    this.#lr = lr;
    this.#options = {
      mode: "min",
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: "rel",
      cooldown: 0,
      minLr: 0,
      eps: 1e-8,
      ...options,
    };
    if (this.#options.factor >= 1)
      throw new ValueError(`ReduceLROnPlateau: the factor ${this.#options.factor} must be below 1.`);
  }

  /** The rate now. */
  get lr(): number {
    return this.#lr;
  }

  /** Takes note of an evaluation, and returns the rate from now on. */
  step(metric: number): number {
    const { factor, patience, cooldown, minLr, eps } = this.#options;
    if (this.#isBetter(metric)) {
      this.#best = metric;
      this.#bad = 0;
    } else {
      this.#bad++;
    }
    if (this.#cooling > 0) {
      this.#cooling--;
      this.#bad = 0;
    }
    if (this.#bad > patience) {
      const lower = Math.max(this.#lr * factor, minLr);
      if (this.#lr - lower > eps) this.#lr = lower;
      this.#cooling = cooldown;
      this.#bad = 0;
    }
    return this.#lr;
  }

  /** For a checkpoint. */
  stateDict(): ReduceLROnPlateauState {
    return { lr: this.#lr, best: this.#best, num_bad_epochs: this.#bad, cooldown_counter: this.#cooling };
  }

  /** Goes on from a state that `stateDict` gave. */
  loadStateDict(state: ReduceLROnPlateauState): void {
    this.#lr = state.lr;
    this.#best = state.best;
    this.#bad = state.num_bad_epochs;
    this.#cooling = state.cooldown_counter;
  }

  #isBetter(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.#options;
    const best = this.#best;
    if (best === null) return true;
    if (mode === "min") return metric < (thresholdMode === "rel" ? best * (1 - threshold) : best - threshold);
    return metric > (thresholdMode === "rel" ? best * (1 + threshold) : best + threshold);
  }
}
