import type { Trainer } from "./trainer.js";
import type { TrainingArguments } from "./training-arguments.js";

/** One entry of the log: numbers by name, such as `loss`, `learning_rate`, `eval_accuracy`. */
export type LogEntry = { step: number; epoch: number } & Record<string, number>;

/** Where a run stands; plain JSON, `trainer_state.json` of a checkpoint. Names as `transformers.TrainerState`. */
export interface TrainerState {
  /** Passes over the data made so far, with the fraction of the current one. */
  epoch: number;
  /** Optimizer steps made. */
  globalStep: number;
  maxSteps: number;
  numTrainEpochs: number;
  logHistory: LogEntry[];
  bestMetric: number | null;
  bestGlobalStep: number | null;
  bestModelCheckpoint: string | null;
  /** Tokens seen in training, without padding. */
  numInputTokensSeen: number;
}

/** What a callback may change. */
export interface TrainerControl {
  shouldTrainingStop: boolean;
  shouldEpochStop: boolean;
  shouldSave: boolean;
  shouldEvaluate: boolean;
  shouldLog: boolean;
  /**
   * Set in `onStepBegin`: this step's gradients are there (`parameter.grad`) in `onPreOptimizerStep` and `onOptimizerStep`. The step
   * then runs operation by operation instead of being replayed, with the same bits; in other steps `.grad` is not there, or not whole. The
   * gradients are not clipped (that is a part of the optimizer's kernel), and with `fp16` they are those of the scaled loss: divide
   * by `trainer.scaler.getScale()`. Cleared after the step.
   */
  shouldObserveGradients: boolean;
}

/** What a callback gets. */
export interface CallbackContext {
  args: Readonly<TrainingArguments>;
  state: TrainerState;
  control: TrainerControl;
  trainer: Trainer;
}

type Event<Extra = unknown> = (context: CallbackContext & Extra) => void | Promise<void>;

/** Functions called during training; all optional. As `transformers.TrainerCallback`. */
export interface TrainerCallback {
  onInitEnd?: Event;
  onTrainBegin?: Event;
  onTrainEnd?: Event;
  onEpochBegin?: Event;
  onEpochEnd?: Event;
  /** While the programs of the first step are compiled: after each. Not in transformers, where none are. */
  onCompile?: Event<{ done: number; total: number }>;
  onStepBegin?: Event;
  /** After a part of a step under gradient accumulation. */
  onSubstepEnd?: Event;
  /** Before the update; the gradients are there if `control.shouldObserveGradients` was set in `onStepBegin`. */
  onPreOptimizerStep?: Event;
  /** After the update; the gradients are there if `control.shouldObserveGradients` was set in `onStepBegin`. */
  onOptimizerStep?: Event;
  onStepEnd?: Event;
  onEvaluate?: Event<{ metrics: Record<string, number> }>;
  /** After each batch of an evaluation. */
  onPredictionStep?: Event<{ batch: number; batches: number }>;
  onSave?: Event<{ checkpoint: string }>;
  onLog?: Event<{ logs: LogEntry }>;
}

/** Names of the events. */
export type CallbackEvent = keyof TrainerCallback;

/** Decides by the arguments when to log, evaluate and save, as `transformers.DefaultFlowCallback`. */
export class DefaultFlowCallback implements TrainerCallback {
  onStepEnd({ args, state, control }: CallbackContext): void {
    const every = (interval: number) => state.globalStep % interval === 0;
    if (state.globalStep === 1 && args.loggingFirstStep) control.shouldLog = true;
    if (args.loggingStrategy === "steps" && every(args.loggingSteps)) control.shouldLog = true;
    if (args.evalStrategy === "steps" && every(args.evalSteps ?? args.loggingSteps))
      control.shouldEvaluate = true;
    if (args.saveStrategy === "steps" && every(args.saveSteps)) control.shouldSave = true;
    if (state.globalStep >= state.maxSteps) control.shouldTrainingStop = true;
  }

  onEpochEnd({ args, control }: CallbackContext): void {
    if (args.loggingStrategy === "epoch") control.shouldLog = true;
    if (args.evalStrategy === "epoch") control.shouldEvaluate = true;
    if (args.saveStrategy === "epoch") control.shouldSave = true;
  }
}

/** Stops when the metric for the best model has not improved for some evaluations, as `transformers.EarlyStoppingCallback`. */
export class EarlyStoppingCallback implements TrainerCallback {
  readonly patience: number;
  readonly threshold: number;
  #best: number | null = null;
  #waited = 0;

  /**
   * @param options.earlyStoppingPatience evaluations without improvement; default 1
   * @param options.earlyStoppingThreshold least improvement that counts; default 0
   */
  constructor(options: { earlyStoppingPatience?: number; earlyStoppingThreshold?: number } = {}) {
    this.patience = options.earlyStoppingPatience ?? 1;
    this.threshold = options.earlyStoppingThreshold ?? 0;
  }

  onEvaluate({ trainer, control, metrics }: CallbackContext & { metrics: Record<string, number> }): void {
    const value = trainer.bestMetricOf(metrics);
    if (value === undefined) return;
    const better =
      this.#best === null ||
      (trainer.greaterIsBetter ? value - this.#best : this.#best - value) > this.threshold;
    if (better) {
      this.#best = value;
      this.#waited = 0;
    } else if (++this.#waited >= this.patience) {
      control.shouldTrainingStop = true;
    }
  }
}
