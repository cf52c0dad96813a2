/** Trainer, TrainingArguments, callbacks and metrics, with Hugging Face's names and defaults. */
export {
  type CallbackContext,
  type CallbackEvent,
  DefaultFlowCallback,
  EarlyStoppingCallback,
  type LogEntry,
  type TrainerCallback,
  type TrainerControl,
  type TrainerState,
} from "./callbacks.js";
export { latestCheckpoint } from "./checkpoint.js";
export {
  type CollatedBatch,
  type DataCollator,
  dataCollatorWithFlattening,
  dataCollatorWithPadding,
  type Example,
  type FlattenedBatch,
  type FlatteningOptions,
  type PaddedBatch,
  type PaddingOptions,
} from "./data-collator.js";
export { TrainerError } from "./errors.js";
export {
  argmaxRows,
  type ClassMetrics,
  classificationMetrics,
  confusionMatrix,
  type EvalPrediction,
  perClassMetrics,
} from "./metrics.js";
export {
  type ModelInputs,
  type PredictionOutput,
  type ProcessingClass,
  type TrainableModel,
  Trainer,
  type TrainerOptions,
  type TrainOutput,
} from "./trainer.js";
export {
  fromSnakeCase,
  type IntervalStrategy,
  TRAINING_ARGUMENT_NAMES,
  type TrainingArguments,
  toSnakeCase,
  trainingArguments,
  trainingArgumentsFromJson,
  trainingArgumentsToJson,
} from "./training-arguments.js";
