import type { CallbackContext, CallbackState, TrainerCallback } from "./callbacks.js";
import { TrainerError } from "./errors.js";

/**
 * Stops when the metric for the best model has not improved for some evaluations, as `transformers.EarlyStoppingCallback`. How many
 * it has waited for is kept in checkpoints.
 */
export class EarlyStoppingCallback implements TrainerCallback {
  readonly patience: number;
  readonly threshold: number;
  #waited = 0;

  /**
   * @param options.earlyStoppingPatience evaluations without improvement; default 1
   * @param options.earlyStoppingThreshold improvement over the best value that must be exceeded; default 0
   */
  constructor(options: { earlyStoppingPatience?: number; earlyStoppingThreshold?: number } = {}) {
    this.patience = options.earlyStoppingPatience ?? 1;
    this.threshold = options.earlyStoppingThreshold ?? 0;
  }

  /** @throws TrainerError if there are no evaluations to go by */
  onTrainBegin({ args }: CallbackContext): void {
    if (args.evalStrategy === "no")
      throw new TrainerError(
        "E_ARG_VALUE",
        "EarlyStoppingCallback needs evaluations: set evalStrategy to steps or epoch.",
      );
  }

  onEvaluate(context: CallbackContext & { metrics: Record<string, number> }): void {
    const { trainer, control, state, metrics } = context;
    const value = trainer.bestMetricOf(metrics);
    if (value === undefined) return;
    // The best value is brought up to date after this event.
    const best = state.bestMetric;
    const better = best === null || (trainer.greaterIsBetter ? value - best : best - value) > this.threshold;
    this.#waited = better ? 0 : this.#waited + 1;
    if (this.#waited >= this.patience) control.shouldTrainingStop = true;
  }

  state(): CallbackState {
    return {
      args: { early_stopping_patience: this.patience, early_stopping_threshold: this.threshold },
      attributes: { early_stopping_patience_counter: this.#waited },
    };
  }

  loadState({ attributes }: CallbackState): void {
    this.#waited = Number(attributes.early_stopping_patience_counter ?? 0);
  }
}
