import type { Trainer } from "./trainer.js";
import type { TrainerState } from "./trainer-state.js";
import type { TrainingArguments } from "./training-arguments.js";

export type { TrainerState } from "./trainer-state.js";

/** One entry of the log: numbers by name, such as `loss`, `learning_rate`, `eval_accuracy`. */
export type LogEntry = { step: number; epoch: number } & Record<string, number>;

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

/** What a checkpoint keeps of a callback: plain JSON, as `transformers.ExportableState`. */
export interface CallbackState {
  /** What it was made with. */
  args: Record<string, unknown>;
  /** What has changed since. */
  attributes: Record<string, unknown>;
}

/**
 * Functions called during training; all optional. As `transformers.TrainerCallback`. A callback that a resumed run is to find as it
 * was has `state` and `loadState`: its state is kept in `trainer_state.json` under the name of its class.
 */
export interface TrainerCallback {
  /** The state for a checkpoint. */
  state?(): CallbackState;
  /** Goes on from a state that `state` gave. */
  loadState?(state: CallbackState): void;
  /** The trainer was made. Events are waited for before training or evaluating. */
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
export type CallbackEvent = Exclude<keyof TrainerCallback, "state" | "loadState">;
