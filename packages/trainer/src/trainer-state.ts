import type { CallbackState, LogEntry } from "./callbacks.js";

/** Where a run stands; plain JSON, `trainer_state.json` of a checkpoint. Names as `transformers.TrainerState`. */
export interface TrainerState {
  /** Passes over the data made so far, with the fraction of the current one. */
  epoch: number;
  /** Optimizer steps made. */
  globalStep: number;
  maxSteps: number;
  /** Steps between two logs: the argument, where that is a share the steps that it comes to. */
  loggingSteps: number;
  /** Steps between two evaluations. */
  evalSteps: number;
  /** Steps between two checkpoints. */
  saveSteps: number;
  numTrainEpochs: number;
  logHistory: LogEntry[];
  bestMetric: number | null;
  bestGlobalStep: number | null;
  bestModelCheckpoint: string | null;
  /** Tokens seen in training: without padding, unless `includeNumInputTokensSeen` is "all". */
  numInputTokensSeen: number;
  /** Floating-point operations of the training so far, estimated as transformers does: 6 for each token and weight that is no embedding. */
  totalFlos: number;
}

/** The state before the first step. */
export function newTrainerState(): TrainerState {
  return {
    epoch: 0,
    globalStep: 0,
    maxSteps: 0,
    loggingSteps: 500,
    evalSteps: 500,
    saveSteps: 500,
    numTrainEpochs: 0,
    logHistory: [],
    bestMetric: null,
    bestGlobalStep: null,
    bestModelCheckpoint: null,
    numInputTokensSeen: 0,
    totalFlos: 0,
  };
}

/** `trainer_state.json`: every key of Hugging Face's, and no other, so that `TrainerState.load_from_json` reads it. */
export function stateToJson(
  state: TrainerState,
  batchSize: number,
  callbacks: Readonly<Record<string, CallbackState | CallbackState[]>>,
): Record<string, unknown> {
  return {
    best_global_step: state.bestGlobalStep,
    best_metric: state.bestMetric,
    best_model_checkpoint: state.bestModelCheckpoint,
    epoch: state.epoch,
    eval_steps: state.evalSteps,
    global_step: state.globalStep,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: state.logHistory,
    logging_steps: state.loggingSteps,
    max_steps: state.maxSteps,
    num_input_tokens_seen: state.numInputTokensSeen,
    num_train_epochs: state.numTrainEpochs,
    save_steps: state.saveSteps,
    stateful_callbacks: callbacks,
    total_flos: state.totalFlos,
    train_batch_size: batchSize,
    trial_name: null,
    trial_params: null,
  };
}

/** What a resumed run takes over; how long it is to be, and how often it logs, is the new arguments' to say. */
export function stateFromJson(json: Readonly<Record<string, unknown>>): Partial<TrainerState> {
  return {
    bestGlobalStep: json.best_global_step as number | null,
    bestMetric: json.best_metric as number | null,
    bestModelCheckpoint: json.best_model_checkpoint as string | null,
    epoch: json.epoch as number,
    globalStep: json.global_step as number,
    logHistory: json.log_history as TrainerState["logHistory"],
    numInputTokensSeen: json.num_input_tokens_seen as number,
    totalFlos: (json.total_flos as number | undefined) ?? 0,
  };
}
