/** The trainer's arguments as settings of the command line. */
import {
  TRAINING_ARGUMENT_NAMES,
  type TrainingArguments,
  toSnakeCase,
  trainingArguments,
} from "@wgrad/trainer";
import { type Kind, SAVING, type Setting } from "./setting.js";

/** Where the command line differs from Hugging Face's defaults. */
export const ARGUMENT_DEFAULTS: Partial<TrainingArguments> = {
  evalStrategy: "epoch",
  saveStrategy: "epoch",
  saveTotalLimit: 2,
  loggingSteps: 10,
};

const ARGUMENT_HELP: Partial<Record<keyof TrainingArguments, string>> = {
  outputDir: "folder of the run (default: runs/<model>-<dataset>)",
  numTrainEpochs: "passes over the training data",
  maxSteps: "optimizer steps; over 0 it replaces the epochs",
  perDeviceTrainBatchSize: "examples a forward pass",
  perDeviceEvalBatchSize: "examples a forward pass in evaluation",
  gradientAccumulationSteps: "forward and backward passes an optimizer step",
  dataloaderDropLast: "leave out a last batch that is not full",
  dataloaderNumWorkers: "over 0: batches are made ahead, so many times the prefetch factor",
  dataloaderPrefetchFactor: "batches ahead for each worker (default: 2)",
  trainSamplingStrategy: "order of the training data: random, sequential or group_by_length",
  groupByLength: "examples of similar length together",
  lengthColumnName: "column of the lengths for group_by_length, if there is one",
  optim: "adamw_torch, sgd or adafactor",
  optimArgs: "further options of the optimizer, as momentum=0.9,nesterov=true",
  learningRate: "peak learning rate",
  weightDecay: "decay of all weights but biases and LayerNorm's",
  adamBeta1: "decay of the first moment",
  adamBeta2: "decay of the second moment",
  adamEpsilon: "added to the root of the second moment",
  maxGradNorm: "largest joint norm of the gradients; 0: no clipping",
  labelSmoothingFactor: "part of each target that is spread over all classes",
  fp16: "store and compute in f16, with f32 weights and sums; needs shader-f16",
  gradientCheckpointing:
    "keep only the input of each block and compute the rest again: less memory, more time",
  capture: "record a step once for each shape of batch and replay it",
  lrSchedulerType:
    "linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt, reduce_lr_on_plateau, …",
  lrSchedulerKwargs: "further settings of the schedule, as JSON",
  warmupSteps: "steps of warm-up; under 1 a share of all steps",
  warmupRatio: "share of all steps, where warmup-steps is 0",
  loggingStrategy: "no, steps or epoch",
  loggingSteps: "steps between two logs; under 1 a share of all steps",
  loggingFirstStep: "also log the first step",
  evalStrategy: "no, steps or epoch",
  evalSteps: "steps between two evaluations (default: logging-steps)",
  evalDelay: "steps or epochs before the first evaluation",
  evalOnStart: "also evaluate before the first step",
  predictionLossOnly: "measure nothing but the loss in evaluations",
  includeForMetrics: "what metrics are given beside predictions and labels: inputs, loss",
  includeNumInputTokensSeen: "log the tokens seen: no, all (with padding) or non_padding",
  saveStrategy: "no, steps, epoch or best",
  saveSteps: "steps between two checkpoints; under 1 a share of all steps",
  saveTotalLimit: "checkpoints to keep",
  saveOnlyModel: "leave what a resume needs out of checkpoints",
  loadBestModelAtEnd: "put the best checkpoint's weights back at the end",
  metricForBestModel: "what is best, such as accuracy (default: loss)",
  greaterIsBetter: "whether more of it is better (default: unless it is a loss)",
  reportTo: "loggers beside log.jsonl: tensorboard, wandb, all",
  runName: "what loggers call the run (default: the output folder)",
  loggingDir: "folder of TensorBoard's files (default: <output-dir>/runs/<date>_<host>)",
  loggingHistograms: "steps between two histograms of weights and gradients for TensorBoard; 0: none",
  resumeFromCheckpoint: "a checkpoint's folder to go on from, as --resume",
  ignoreDataSkip: "take the data of the epoch from its beginning after a resume",
  seed: "seed of new weights and dropout",
  dataSeed: "seed of the order of the data (default: seed)",
};

/** Arguments whose kind cannot be seen from the default. */
const KINDS: Partial<Record<keyof TrainingArguments, Kind>> = {
  metricForBestModel: "text",
  greaterIsBetter: "boolean",
  optimArgs: "text",
  runName: "text",
  loggingDir: "text",
  resumeFromCheckpoint: "text",
  includeNumInputTokensSeen: "switch",
};

/** Headings of the trainer's arguments in `--help`: the first whose names fit. */
const GROUPS: readonly (readonly [heading: string, names: RegExp])[] = [
  [SAVING, /^(logging|eval|save|load|metric|greater|report|run|include|output|prediction)/],
  [
    "Optimizer and schedule:",
    /^(optim|learningRate|weightDecay|adam|maxGradNorm|lrScheduler|warmup|labelSmoothing)/,
  ],
  ["Chance:", /[sS]eed$/],
  ["Going on:", /^(resume|ignore)/],
  ["Training:", /./],
];

/** A setting for each of the trainer's arguments. */
export function argumentSettings(): Setting[] {
  const defaults = trainingArguments();
  return TRAINING_ARGUMENT_NAMES.map((name) => {
    const value = ARGUMENT_DEFAULTS[name] ?? defaults[name];
    const help = ARGUMENT_HELP[name] ?? `${toSnakeCase(name)} of Hugging Face's TrainingArguments`;
    const kind = KINDS[name] ?? kindOf(value);
    const isShown = value !== null && typeof value !== "object" && name !== "outputDir";
    const group = GROUPS.find(([, names]) => names.test(name))![0];
    return { name, kind, help, group, ...(isShown ? { default: value } : {}) };
  });
}

function kindOf(value: unknown): Kind {
  if (Array.isArray(value)) return "list";
  if (typeof value === "boolean") return "boolean";
  if (typeof value === "string") return "text";
  return typeof value === "object" && value !== null ? "json" : "number";
}
