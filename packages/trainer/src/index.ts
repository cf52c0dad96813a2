/** Trainer, TrainingArguments, callbacks and metrics, with Hugging Face's names and defaults. */
export type { TrainerDataset } from "./batch-queue.js";
export type {
  CallbackContext,
  CallbackEvent,
  CallbackState,
  LogEntry,
  TrainerCallback,
  TrainerControl,
} from "./callbacks.js";
export {
  type FromJsonOptions,
  trainingArguments,
  trainingArgumentsFromJson,
} from "./check-arguments.js";
export { latestCheckpoint, listCheckpoints, recoverCheckpoints } from "./checkpoint-folders.js";
export { ContrastiveTrainer, contrastiveLoss } from "./contrastive-trainer.js";
export {
  type AnyDataCollator,
  type AsyncDataCollator,
  type CollateContext,
  type CollatedBatch,
  type DataCollator,
  dataCollatorWithFlattening,
  dataCollatorWithPadding,
  type Example,
  type FlattenedBatch,
  type FlatteningOptions,
  type HostTensor,
  isTokenBatch,
  type PaddedBatch,
  type PaddingOptions,
  type TensorBatch,
  type TokenBatch,
} from "./data-collator.js";
export { DefaultFlowCallback } from "./default-flow.js";
export { EarlyStoppingCallback } from "./early-stopping.js";
export { TrainerError } from "./errors.js";
export { type ForeignArgument, foreignArgument } from "./foreign-arguments.js";
export {
  type ClassPromptOptions,
  dataCollatorForClassPrompts,
  dataCollatorForImageClassification,
  dataCollatorForImageText,
  type ImageClassificationOptions,
  type PictureExample,
  type PictureLoader,
} from "./image-collator.js";
export {
  dataCollatorForLanguageModeling,
  type LanguageModelingOptions,
  type MaskingTokenizer,
} from "./language-modeling-collator.js";
export { type ConsoleProgress, type ConsoleSink, plainConsole } from "./loggers/console-sink.js";
export { getReportingCallbacks, LOGGER_NAMES } from "./loggers/index.js";
export { JsonLinesCallback } from "./loggers/json-lines.js";
export { type EpochRow, formatEpochHeader, formatEpochRow, PrinterCallback } from "./loggers/printer.js";
export { SummaryWriter, type SummaryWriterOptions } from "./loggers/summary-writer.js";
export { TensorBoardCallback } from "./loggers/tensorboard.js";
export { WandbCallback, type WandbMode, type WandbOptions } from "./loggers/wandb.js";
export {
  argmaxRows,
  type ClassMetrics,
  classificationMetrics,
  confusionMatrix,
  type EvalPrediction,
  perClassMetrics,
} from "./metrics.js";
export {
  type AnyModel,
  IGNORED_LABEL,
  type ModelInputs,
  type ModelOutputs,
  type TrainableModel,
  uploadBatch,
} from "./model-inputs.js";
export type { TrainerOptimizer } from "./optimizers.js";
export type { PredictionOptions, PredictionOutput } from "./prediction-loop.js";
export { LengthGroupedSampler, LengthSortedSampler } from "./samplers.js";
export type { LrScheduler, Schedule } from "./schedule.js";
export {
  type LossOptions,
  type ProcessingClass,
  Trainer,
  type TrainerOptions,
  type TrainOutput,
} from "./trainer.js";
export type { TrainerState } from "./trainer-state.js";
export {
  fromSnakeCase,
  type IntervalStrategy,
  type LrSchedulerType,
  type OptimizerName,
  type SamplingStrategy,
  type SaveStrategy,
  TRAINING_ARGUMENT_NAMES,
  type TrainingArguments,
  toSnakeCase,
  trainingArgumentsToJson,
} from "./training-arguments.js";
