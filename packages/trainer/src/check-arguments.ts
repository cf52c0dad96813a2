import { nearest, SCHEDULER_TYPES } from "@wgrad/tensor";
import { TrainerError } from "./errors.js";
import { foreignArgument } from "./foreign-arguments.js";
import {
  DEFAULT_ARGUMENTS,
  fromSnakeCase,
  TRAINING_ARGUMENT_NAMES,
  type TrainingArguments,
  toSnakeCase,
} from "./training-arguments.js";

type Name = keyof TrainingArguments;

const POSITIVE: readonly Name[] = [
  "perDeviceTrainBatchSize",
  "perDeviceEvalBatchSize",
  "gradientAccumulationSteps",
];
/** Null where nothing is set. */
const POSITIVE_OR_NULL: readonly Name[] = ["dataloaderPrefetchFactor"];
/** Steps, or a share of all steps. */
const INTERVALS: readonly Name[] = ["loggingSteps", "saveSteps", "evalSteps"];
const NOT_NEGATIVE: readonly Name[] = [
  "numTrainEpochs",
  "learningRate",
  "weightDecay",
  "maxGradNorm",
  "warmupSteps",
  "warmupRatio",
  "evalDelay",
  "dataloaderNumWorkers",
  "loggingHistograms",
  "seed",
];
const CHOICES: Partial<Record<Name, readonly unknown[]>> = {
  lrSchedulerType: [...SCHEDULER_TYPES, "reduce_lr_on_plateau"],
  optim: ["adamw_torch", "adamw_torch_fused", "adamw", "sgd", "adafactor"],
  trainSamplingStrategy: ["random", "sequential", "group_by_length"],
  loggingStrategy: ["no", "steps", "epoch"],
  evalStrategy: ["no", "steps", "epoch"],
  saveStrategy: ["no", "steps", "epoch", "best"],
  includeNumInputTokensSeen: [false, true, "no", "all", "non_padding"],
};
const BOOLEANS = TRAINING_ARGUMENT_NAMES.filter(
  (name) => typeof DEFAULT_ARGUMENTS[name] === "boolean" || name === "greaterIsBetter",
);
const FOR_METRICS = ["inputs", "loss"];

/**
 * Fills in defaults and checks every setting. The result is frozen.
 * @throws TrainerError `E_ARG_UNKNOWN` with the nearest known name, or why an argument of Python's has no meaning here;
 *   `E_ARG_VALUE` for a value out of range, or two that are at odds
 */
export function trainingArguments(given: Partial<TrainingArguments> = {}): Readonly<TrainingArguments> {
  for (const key of Object.keys(given)) if (!(key in DEFAULT_ARGUMENTS)) throw unknown(key);
  const args: TrainingArguments = {
    ...DEFAULT_ARGUMENTS,
    ...Object.fromEntries(Object.entries(given).filter(([, v]) => v !== undefined)),
  };
  checkValues(args);
  if (args.groupByLength && given.trainSamplingStrategy === undefined)
    args.trainSamplingStrategy = "group_by_length";
  checkTogether(args);
  return Object.freeze(args);
}

function unknown(key: string): TrainerError {
  const foreign = foreignArgument(toSnakeCase(key));
  if (foreign)
    return new TrainerError(
      "E_ARG_UNKNOWN",
      `"${key}" has no meaning here: ${foreign.reason} Leave it out${foreign.refused ? "" : " (trainingArgumentsFromJson does)"}.`,
    );
  const near = nearest(key, TRAINING_ARGUMENT_NAMES);
  const fromPython =
    fromSnakeCase(key) in DEFAULT_ARGUMENTS ? " (JSON of Python: trainingArgumentsFromJson)" : "";
  return new TrainerError(
    "E_ARG_UNKNOWN",
    `"${key}" is not a training argument. Did you mean ${near}?${fromPython}`,
  );
}

function refuse(args: TrainingArguments, key: Name, expected: string): never {
  throw new TrainerError("E_ARG_VALUE", `${key} is ${JSON.stringify(args[key])}, expected ${expected}.`);
}

function checkValues(args: TrainingArguments): void {
  const whole = (value: unknown, least: number) => Number.isInteger(value) && (value as number) >= least;
  for (const key of POSITIVE) if (!whole(args[key], 1)) refuse(args, key, "a whole number from 1 on");
  for (const key of POSITIVE_OR_NULL)
    if (args[key] !== null && !whole(args[key], 1)) refuse(args, key, "a whole number from 1 on");
  for (const key of INTERVALS) {
    const value = args[key] as number | null;
    const isShare = value !== null && value > 0 && value < 1;
    if (!(whole(value, 1) || isShare || (value === null && key === "evalSteps")))
      refuse(args, key, "a whole number from 1 on, or a share of all steps between 0 and 1");
  }
  for (const key of NOT_NEGATIVE)
    if (!Number.isFinite(args[key]) || (args[key] as number) < 0) refuse(args, key, "a number from 0 on");
  for (const [key, values] of Object.entries(CHOICES))
    if (!values.includes(args[key as Name])) refuse(args, key as Name, `one of ${values.join(", ")}`);
  for (const key of BOOLEANS) {
    const value = args[key];
    const isChoice = key in CHOICES || (key === "greaterIsBetter" && value === null);
    if (typeof value !== "boolean" && !isChoice) refuse(args, key, "true or false");
  }
  if (!(args.labelSmoothingFactor >= 0 && args.labelSmoothingFactor < 1))
    refuse(args, "labelSmoothingFactor", "a number from 0 on and below 1");
  if (!Array.isArray(args.reportTo)) refuse(args, "reportTo", "a list of names");
  if (
    !Array.isArray(args.includeForMetrics) ||
    args.includeForMetrics.some((name) => !FOR_METRICS.includes(name as string))
  )
    refuse(args, "includeForMetrics", `a list of ${FOR_METRICS.join(", ")}`);
}

function checkTogether(args: TrainingArguments): void {
  const atOdds = (message: string) => new TrainerError("E_ARG_VALUE", message);
  const { evalStrategy, saveStrategy } = args;
  if (args.groupByLength && args.trainSamplingStrategy !== "group_by_length")
    throw atOdds(`groupByLength is true, but trainSamplingStrategy is ${args.trainSamplingStrategy}.`);
  if (saveStrategy === "best" && evalStrategy === "no")
    throw atOdds('saveStrategy "best" needs evaluations: set evalStrategy to steps or epoch.');
  if (args.lrSchedulerType === "reduce_lr_on_plateau" && evalStrategy === "no")
    throw atOdds(
      "lrSchedulerType reduce_lr_on_plateau needs evaluations: set evalStrategy to steps or epoch.",
    );
  if (!args.loadBestModelAtEnd || saveStrategy === "best") return;
  if (evalStrategy === "no" || saveStrategy !== evalStrategy)
    throw atOdds(
      `loadBestModelAtEnd needs the same strategy for evaluating and saving; evalStrategy is ${evalStrategy}, saveStrategy ${saveStrategy}.`,
    );
  const evalSteps = args.evalSteps ?? args.loggingSteps;
  const ratio = args.saveSteps / evalSteps;
  if (evalStrategy === "steps" && Math.abs(ratio - Math.round(ratio)) > 1e-9)
    throw atOdds(
      `loadBestModelAtEnd needs saveSteps to be a multiple of evalSteps, so that what is saved has been evaluated; they are ${args.saveSteps} and ${evalSteps}.`,
    );
}

/** Options of `trainingArgumentsFromJson`. */
export interface FromJsonOptions {
  /** Called for each argument of Python's that is left out, with the reason. */
  onIgnored?: (message: string) => void;
}

/**
 * Settings from Hugging Face's JSON (`training_args.json`, recipes), whose keys are snake_case. Arguments that steer what Python,
 * several processes or the hub do, and change nothing of what is computed, are left out; those that would change it are refused
 * (unless they are off), each with the reason.
 * @throws TrainerError as `trainingArguments`
 */
export function trainingArgumentsFromJson(
  json: Readonly<Record<string, unknown>>,
  options: FromJsonOptions = {},
): Readonly<TrainingArguments> {
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const name = fromSnakeCase(key);
    const foreign = name in DEFAULT_ARGUMENTS ? undefined : foreignArgument(key);
    if (!foreign) {
      given[name] = fromPython(name, value);
      continue;
    }
    const isOff = value === null || value === false || value === "" || value === 0 || isEmpty(value);
    if (foreign.refused && !isOff)
      throw new TrainerError("E_ARG_VALUE", `${key} is ${JSON.stringify(value)}: ${foreign.reason}`);
    if (!isOff) options.onIgnored?.(`${key} is left out: ${foreign.reason}`);
  }
  return trainingArguments(given as Partial<TrainingArguments>);
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

/** Where Python's value means the same in another form. */
function fromPython(name: string, value: unknown): unknown {
  if (name === "reportTo" && (value === "none" || value === null)) return [];
  if (name === "reportTo" && typeof value === "string") return [value];
  // Null in Python's JSON: the default.
  if (value === null && DEFAULT_ARGUMENTS[name as Name] !== null) return undefined;
  return value;
}
