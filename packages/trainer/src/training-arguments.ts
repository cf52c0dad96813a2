import { nearest, SCHEDULER_TYPES, type SchedulerType } from "@wgrad/tensor";
import { TrainerError } from "./errors.js";

/** When something happens: never, every so many steps, or at the end of each epoch. */
export type IntervalStrategy = "no" | "steps" | "epoch";

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

  // ---- optimizer: AdamW ----
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
  /** Store and compute in f16, with f32 sums, f32 weights and a loss that is scaled; needs the feature `shader-f16`. Default false. */
  fp16: boolean;
  /** Keep only what goes into each block and compute the rest again in backward: less memory, more time. Default false. */
  gradientCheckpointing: boolean;
  /** Record a step once for each shape of batch and replay it; false: enqueue every operation anew. Same bits. Default true. */
  capture: boolean;

  // ---- schedule ----
  /** Default "linear". */
  lrSchedulerType: SchedulerType;
  /** Further settings of the schedule: num_cycles, power, lr_end, timescale. */
  lrSchedulerKwargs: Readonly<Record<string, number>>;
  /** Steps of warm-up; under 1 a share of all steps. Default 0. */
  warmupSteps: number;
  /** Share of all steps, where `warmupSteps` is 0. Default 0. */
  warmupRatio: number;

  // ---- logging, evaluation, saving ----
  /** Default "steps". */
  loggingStrategy: IntervalStrategy;
  /** Steps between two logs. Default 500. */
  loggingSteps: number;
  /** Also log the first step. Default false. */
  loggingFirstStep: boolean;
  /** Default "no". */
  evalStrategy: IntervalStrategy;
  /** Steps between two evaluations; null for `loggingSteps`. */
  evalSteps: number | null;
  /** Default "steps". */
  saveStrategy: IntervalStrategy;
  /** Steps between two checkpoints. Default 500. */
  saveSteps: number;
  /** Checkpoints to keep, the best one included; null for all. */
  saveTotalLimit: number | null;
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
  /** Folder of TensorBoard's files; null for `<outputDir>/runs`. */
  loggingDir: string | null;

  // ---- chance ----
  /** Seed of new weights and dropout. Default 42. */
  seed: number;
  /** Seed of the order of the data; null for `seed`. */
  dataSeed: number | null;
}

const DEFAULTS: TrainingArguments = {
  outputDir: "trainer_output",
  numTrainEpochs: 3,
  maxSteps: -1,
  perDeviceTrainBatchSize: 8,
  perDeviceEvalBatchSize: 8,
  gradientAccumulationSteps: 1,
  dataloaderDropLast: false,
  learningRate: 5e-5,
  weightDecay: 0,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  maxGradNorm: 1,
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
  saveStrategy: "steps",
  saveSteps: 500,
  saveTotalLimit: null,
  loadBestModelAtEnd: false,
  metricForBestModel: null,
  greaterIsBetter: null,
  reportTo: [],
  runName: null,
  loggingDir: null,
  seed: 42,
  dataSeed: null,
};

const POSITIVE: readonly (keyof TrainingArguments)[] = [
  "perDeviceTrainBatchSize",
  "perDeviceEvalBatchSize",
  "gradientAccumulationSteps",
  "loggingSteps",
  "saveSteps",
];
const NOT_NEGATIVE: readonly (keyof TrainingArguments)[] = [
  "numTrainEpochs",
  "learningRate",
  "weightDecay",
  "maxGradNorm",
  "warmupSteps",
  "warmupRatio",
  "seed",
];
const CHOICES: Partial<Record<keyof TrainingArguments, readonly string[]>> = {
  lrSchedulerType: SCHEDULER_TYPES,
  loggingStrategy: ["no", "steps", "epoch"],
  evalStrategy: ["no", "steps", "epoch"],
  saveStrategy: ["no", "steps", "epoch"],
};

/** Names of all settings. */
export const TRAINING_ARGUMENT_NAMES = Object.keys(DEFAULTS) as (keyof TrainingArguments)[];

/**
 * Fills in defaults and checks every setting. The result is frozen.
 * @throws TrainerError `E_ARG_UNKNOWN` with the nearest known name, `E_ARG_VALUE` for a value out of range
 */
export function trainingArguments(given: Partial<TrainingArguments> = {}): Readonly<TrainingArguments> {
  for (const key of Object.keys(given)) {
    if (key in DEFAULTS) continue;
    const near = nearest(key, TRAINING_ARGUMENT_NAMES);
    const fromPython = fromSnakeCase(key) in DEFAULTS ? ` (JSON of Python: trainingArgumentsFromJson)` : "";
    throw new TrainerError(
      "E_ARG_UNKNOWN",
      `"${key}" is not a training argument. Did you mean ${near}?${fromPython}`,
    );
  }
  const args = {
    ...DEFAULTS,
    ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)),
  };
  const refuse = (key: string, expected: string) => {
    const value = JSON.stringify(args[key as keyof TrainingArguments]);
    throw new TrainerError("E_ARG_VALUE", `${key} is ${value}, expected ${expected}.`);
  };
  for (const key of POSITIVE)
    if (!Number.isInteger(args[key]) || (args[key] as number) < 1) refuse(key, "a whole number from 1 on");
  for (const key of NOT_NEGATIVE)
    if (!Number.isFinite(args[key]) || (args[key] as number) < 0) refuse(key, "a number from 0 on");
  for (const [key, values] of Object.entries(CHOICES)) {
    if (!values.includes(args[key as keyof TrainingArguments] as string))
      refuse(key, `one of ${values.join(", ")}`);
  }
  if (args.loadBestModelAtEnd && (args.evalStrategy === "no" || args.saveStrategy !== args.evalStrategy)) {
    throw new TrainerError(
      "E_ARG_VALUE",
      `loadBestModelAtEnd needs the same strategy for evaluating and saving; evalStrategy is ${args.evalStrategy}, saveStrategy ${args.saveStrategy}.`,
    );
  }
  return Object.freeze(args);
}

/** Settings from Hugging Face's JSON (`training_args.json`, recipes), whose keys are snake_case. Throws as `trainingArguments`. */
export function trainingArgumentsFromJson(
  json: Readonly<Record<string, unknown>>,
): Readonly<TrainingArguments> {
  const given = Object.fromEntries(Object.entries(json).map(([key, value]) => [fromSnakeCase(key), value]));
  return trainingArguments(given as Partial<TrainingArguments>);
}

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
