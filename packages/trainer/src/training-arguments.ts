import type { SchedulerType } from "@wgrad/tensor";

/** When something happens: never, every so many steps, or at the end of each epoch. */
export type IntervalStrategy = "no" | "steps" | "epoch";

/** When a checkpoint is written; "best": after each evaluation that is better than those before. */
export type SaveStrategy = IntervalStrategy | "best";

/** Names of schedules, as `transformers.SchedulerType`. */
export type LrSchedulerType = SchedulerType | "reduce_lr_on_plateau";

/** Names of optimizers, as `transformers.training_args.OptimizerNames`; the three of AdamW are the same here. */
export type OptimizerName = "adamw_torch" | "adamw_torch_fused" | "adamw" | "sgd" | "adafactor";

/** In which order the training data come. */
export type SamplingStrategy = "random" | "sequential" | "group_by_length";

/**
 * Settings of a training run: names and defaults of `transformers.TrainingArguments` in camelCase. Plain JSON.
 */
export interface TrainingArguments {
  // ---- where ----
  /** Folder for checkpoints and logs. Default "trainer_output". */
  outputDir: string;

  // ---- how long ----
  /** Passes over the training data; may be a fraction. Default 3. */
  numTrainEpochs: number;
  /** Optimizer steps; over 0 it replaces `numTrainEpochs`. Default -1. */
  maxSteps: number;

  // ---- batches ----
  /** Examples a forward pass. Default 8. */
  perDeviceTrainBatchSize: number;
  /** Examples a forward pass in evaluation. Default 8. */
  perDeviceEvalBatchSize: number;
  /** Forward and backward passes an optimizer step; the loss is divided by the items of the whole step. Default 1. */
  gradientAccumulationSteps: number;
  /** Leave out a last batch that is not full. Default false. */
  dataloaderDropLast: boolean;
  /**
   * Over 0: batches are collated ahead, `dataloaderNumWorkers * dataloaderPrefetchFactor` of them. JavaScript has one thread, so these
   * are no processes as in PyTorch: an async collator has so many batches under way at once (files, decoding, worker threads of its
   * own), a sync one runs while the GPU is busy with the step before. Same batches in the same order. Default 0: each batch when
   * its step begins.
   */
  dataloaderNumWorkers: number;
  /** Batches ahead for each of `dataloaderNumWorkers`; null for 2. */
  dataloaderPrefetchFactor: number | null;
  /** "random" (a new order each epoch, from `dataSeed`), "sequential", or "group_by_length": examples of similar length together. Default "random". */
  trainSamplingStrategy: SamplingStrategy;
  /** As `trainSamplingStrategy: "group_by_length"`. Default false. */
  groupByLength: boolean;
  /** Column that holds the lengths for "group_by_length", if there is one; else they are counted. Default "length". */
  lengthColumnName: string;

  // ---- optimizer ----
  /** Default "adamw_torch". */
  optim: OptimizerName;
  /** Further options of the optimizer, as `momentum=0.9,nesterov=true`; names as in PyTorch. Null for none. */
  optimArgs: string | null;
  /** Peak learning rate. Default 5e-5. */
  learningRate: number;
  /** Decay of all weights but biases and LayerNorm's. Default 0. */
  weightDecay: number;
  /** Default 0.9. */
  adamBeta1: number;
  /** Default 0.999. */
  adamBeta2: number;
  /** Default 1e-8. */
  adamEpsilon: number;
  /** Largest joint norm of the gradients; 0 for no clipping. Default 1. */
  maxGradNorm: number;

  // ---- how a step is computed ----
  /** Part of each target, in [0, 1), that is spread evenly over all classes; in evaluation too. Default 0. */
  labelSmoothingFactor: number;
  /** Store and compute in f16, with f32 sums, f32 weights and a loss that is scaled; needs the feature `shader-f16`. Default false. */
  fp16: boolean;
  /** Keep only what goes into each block and compute the rest again in backward: less memory, more time. Default false. */
  gradientCheckpointing: boolean;
  /** Record a step once for each shape of batch and replay it; false: enqueue every operation anew. Same bits. Default true. */
  capture: boolean;

  // ---- schedule ----
  /** Default "linear". */
  lrSchedulerType: LrSchedulerType;
  /**
   * Further settings of the schedule, snake_case: num_cycles, power, lr_end, timescale, min_lr, min_lr_rate, warmup_lr_rate, num_decay_steps,
   * num_stable_steps, warmup_type, decay_type, min_lr_ratio; of reduce_lr_on_plateau factor, patience, threshold, cooldown, min_lr.
   */
  lrSchedulerKwargs: Readonly<Record<string, number | string>>;
  /** Steps of warm-up; under 1 a share of all steps. Default 0. */
  warmupSteps: number;
  /** Share of all steps, where `warmupSteps` is 0. Default 0. */
  warmupRatio: number;

  // ---- logging, evaluation, saving ----
  /** Default "steps". */
  loggingStrategy: IntervalStrategy;
  /** Steps between two logs; under 1 a share of all steps. Default 500. */
  loggingSteps: number;
  /** Also log the first step. Default false. */
  loggingFirstStep: boolean;
  /** Default "no". */
  evalStrategy: IntervalStrategy;
  /** Steps between two evaluations, under 1 a share of all steps; null for `loggingSteps`. The last step is evaluated too. */
  evalSteps: number | null;
  /** No evaluation before so many steps (or epochs, with `evalStrategy: "epoch"`). Default 0. */
  evalDelay: number;
  /** Also evaluate before the first step. Default false. */
  evalOnStart: boolean;
  /** Gather nothing but the loss in evaluations. They do so too where there is no `computeMetrics`. Default false. */
  predictionLossOnly: boolean;
  /** What `computeMetrics` gets beside predictions and labels: "inputs", "loss". Default none. */
  includeForMetrics: readonly string[];
  /** Add the tokens seen to the log: false or "no"; "all", with padding; true or "non_padding". Default "no". */
  includeNumInputTokensSeen: boolean | "no" | "all" | "non_padding";
  /** Default "steps". */
  saveStrategy: SaveStrategy;
  /** Steps between two checkpoints, under 1 a share of all steps. The last step is saved too. Default 500. */
  saveSteps: number;
  /** Checkpoints to keep; null for all. The newest and the best are always kept. */
  saveTotalLimit: number | null;
  /** Leave the optimizer and what else a resume needs out of checkpoints. Default false. */
  saveOnlyModel: boolean;
  /** Put the best checkpoint's weights back at the end. Default false. */
  loadBestModelAtEnd: boolean;
  /** What is best: a name of the evaluation's metrics, with or without `eval_`. Default "loss". */
  metricForBestModel: string | null;
  /** Whether more is better; null: unless the metric is a loss. */
  greaterIsBetter: boolean | null;

  // ---- reporting ----
  /** Loggers to add, by name: see `getReportingCallbacks`. Default none. */
  reportTo: readonly string[];
  /** What loggers call the run; null for the output folder. */
  runName: string | null;
  /** Folder of TensorBoard's files; null for `<outputDir>/runs/<date>_<host>`. */
  loggingDir: string | null;
  /** Steps between two histograms of weights and gradients in TensorBoard's files; not in Hugging Face's. 0 for none. Default 0. */
  loggingHistograms: number;

  // ---- going on ----
  /** A checkpoint's folder to go on from; null to start anew. `train({ resumeFromCheckpoint })` overrides it. */
  resumeFromCheckpoint: string | null;
  /** Take the data of the epoch from its beginning after a resume: faster with a sampler of one's own, but no longer exact. Default false. */
  ignoreDataSkip: boolean;

  // ---- chance ----
  /** Seed of new weights and dropout. Default 42. */
  seed: number;
  /** Seed of the order of the data; null for `seed`. */
  dataSeed: number | null;
}

/** Hugging Face's defaults, but for `reportTo`. */
export const DEFAULT_ARGUMENTS: TrainingArguments = {
  outputDir: "trainer_output",
  numTrainEpochs: 3,
  maxSteps: -1,
  perDeviceTrainBatchSize: 8,
  perDeviceEvalBatchSize: 8,
  gradientAccumulationSteps: 1,
  dataloaderDropLast: false,
  dataloaderNumWorkers: 0,
  dataloaderPrefetchFactor: null,
  trainSamplingStrategy: "random",
  groupByLength: false,
  lengthColumnName: "length",
  optim: "adamw_torch",
  optimArgs: null,
  learningRate: 5e-5,
  weightDecay: 0,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  maxGradNorm: 1,
  labelSmoothingFactor: 0,
  fp16: false,
  gradientCheckpointing: false,
  capture: true,
  lrSchedulerType: "linear",
  lrSchedulerKwargs: {},
  warmupSteps: 0,
  warmupRatio: 0,
  loggingStrategy: "steps",
  loggingSteps: 500,
  loggingFirstStep: false,
  evalStrategy: "no",
  evalSteps: null,
  evalDelay: 0,
  evalOnStart: false,
  predictionLossOnly: false,
  includeForMetrics: [],
  includeNumInputTokensSeen: "no",
  saveStrategy: "steps",
  saveSteps: 500,
  saveTotalLimit: null,
  saveOnlyModel: false,
  loadBestModelAtEnd: false,
  metricForBestModel: null,
  greaterIsBetter: null,
  reportTo: [],
  runName: null,
  loggingDir: null,
  loggingHistograms: 0,
  resumeFromCheckpoint: null,
  ignoreDataSkip: false,
  seed: 42,
  dataSeed: null,
};

/** Names of all settings. */
export const TRAINING_ARGUMENT_NAMES = Object.keys(DEFAULT_ARGUMENTS) as (keyof TrainingArguments)[];

/** Settings as Hugging Face writes them. */
export function trainingArgumentsToJson(args: TrainingArguments): Record<string, unknown> {
  return Object.fromEntries(Object.entries(args).map(([key, value]) => [toSnakeCase(key), value]));
}

/** `learning_rate` → `learningRate`. */
export function fromSnakeCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}

/** `learningRate` → `learning_rate`, `adamBeta1` → `adam_beta1`. */
export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
}
