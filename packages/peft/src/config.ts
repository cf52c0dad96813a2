/** `LoraConfig`: PEFT's settings and defaults in camelCase, and its `adapter_config.json`. */
import { nearest } from "@wgrad/tensor";
import { PeftError } from "./errors.js";

/** What the model is for. It decides which heads are trained whole: see `headsOf`. */
export type TaskType =
  | "SEQ_CLS"
  | "TOKEN_CLS"
  | "QUESTION_ANS"
  | "FEATURE_EXTRACTION"
  | "CAUSAL_LM"
  | "SEQ_2_SEQ_LM";

/** Settings of LoRA: names and defaults of `peft.LoraConfig` in camelCase. Plain JSON. */
export interface LoraConfig {
  // ---- which modules ----
  /**
   * Linear layers that get an adapter. A list: names, or endings of them at a dot (`"q_lin"`, `"attention.q_lin"`). A text:
   * a regular expression for the whole path, or `"all-linear"` for all but the head. null is refused by `getPeftModel`.
   */
  targetModules: readonly string[] | string | null;
  /** Modules that are left out of the targets; list or expression as there. Default null. */
  excludeModules: readonly string[] | string | null;
  /**
   * Modules that are trained and saved whole, by the end of their names (`"classifier"` takes `pre_classifier` too, as in
   * PEFT). The heads of the task come on top. Default null.
   */
  modulesToSave: readonly string[] | null;

  // ---- how much ----
  /** Rank: width of the adapter. Default 8. */
  r: number;
  /** The adapter's output is multiplied by `loraAlpha / r`. Default 8. */
  loraAlpha: number;
  /** Multiply by `loraAlpha / √r` instead. Source: Kalajdzievski 2023. Default false. */
  useRslora: boolean;
  /** Rank of modules whose path ends with the key (a regular expression), in place of `r`. Default {}. */
  rankPattern: Readonly<Record<string, number>>;
  /** Alpha of modules, as `rankPattern`. Default {}. */
  alphaPattern: Readonly<Record<string, number>>;

  // ---- how it is trained ----
  /** Dropout of the adapter's input. Default 0. */
  loraDropout: number;
  /** Biases that are trained: none, those of adapted layers, or all of the model. Default "none". */
  bias: "none" | "lora_only" | "all";
  /**
   * Start of new adapters. true: A as PyTorch's Linear, B zero. "gaussian": A normal with deviation 1/r, B zero. false: both
   * as PyTorch's Linear, so that the model changes at once (for tests). Default true.
   */
  initLoraWeights: boolean | "gaussian";

  // ---- what it is ----
  /** Default null: no heads are trained. */
  taskType: TaskType | null;
  /** Folder or hub id of the model below, kept in the file for those who load it. Default null. */
  baseModelNameOrPath: string | null;
  /** Loaded for use, not for training. Default false. */
  inferenceMode: boolean;
}

const DEFAULTS: LoraConfig = {
  targetModules: null,
  excludeModules: null,
  modulesToSave: null,
  r: 8,
  loraAlpha: 8,
  useRslora: false,
  rankPattern: {},
  alphaPattern: {},
  loraDropout: 0,
  bias: "none",
  initLoraWeights: true,
  taskType: null,
  baseModelNameOrPath: null,
  inferenceMode: false,
};

const NAMES = Object.keys(DEFAULTS) as (keyof LoraConfig)[];

const TASKS: readonly TaskType[] = [
  "SEQ_CLS",
  "TOKEN_CLS",
  "QUESTION_ANS",
  "FEATURE_EXTRACTION",
  "CAUSAL_LM",
  "SEQ_2_SEQ_LM",
];

/** Ends of the names of modules that PEFT trains and saves for a task, beside `modulesToSave`. */
export function headsOf(taskType: TaskType | null): readonly string[] {
  if (taskType === "SEQ_CLS" || taskType === "TOKEN_CLS") return ["classifier", "score"];
  return taskType === "QUESTION_ANS" ? ["qa_outputs"] : [];
}

/**
 * Fills in PEFT's defaults and checks every setting. The result is frozen.
 * @throws PeftError `E_CONFIG_UNKNOWN` with the nearest known name, `E_CONFIG_VALUE` for a value out of range
 */
export function loraConfig(given: Partial<LoraConfig> = {}): Readonly<LoraConfig> {
  for (const key of Object.keys(given)) {
    if (key in DEFAULTS) continue;
    throw new PeftError(
      "E_CONFIG_UNKNOWN",
      `LoraConfig: "${key}" is not a setting. Did you mean ${nearest(key, NAMES)}?`,
    );
  }
  const config: LoraConfig = {
    ...DEFAULTS,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  const refuse = (key: keyof LoraConfig, expected: string) => {
    throw new PeftError(
      "E_CONFIG_VALUE",
      `LoraConfig: ${key} is ${JSON.stringify(config[key])}, expected ${expected}.`,
    );
  };
  const isRank = (value: unknown) => Number.isInteger(value) && (value as number) >= 1;
  const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
  const isNames = (value: unknown) =>
    value === null || (Array.isArray(value) && value.every((name) => typeof name === "string"));
  if (!isRank(config.r)) refuse("r", "a whole number from 1 on");
  if (!isNumber(config.loraAlpha)) refuse("loraAlpha", "a number");
  if (!isNumber(config.loraDropout) || config.loraDropout < 0 || config.loraDropout >= 1)
    refuse("loraDropout", "a number from 0 on and under 1");
  if (!["none", "lora_only", "all"].includes(config.bias)) refuse("bias", "one of none, lora_only, all");
  if (![true, false, "gaussian"].includes(config.initLoraWeights))
    refuse("initLoraWeights", 'true, false or "gaussian"');
  if (config.taskType !== null && !TASKS.includes(config.taskType))
    refuse("taskType", `null or one of ${TASKS.join(", ")}`);
  for (const key of ["targetModules", "excludeModules"] as const) {
    const value = config[key];
    if (typeof value === "string") checkExpression(key, value);
    else if (!isNames(value)) refuse(key, "a list of names, or a text that is a regular expression");
  }
  if (!isNames(config.modulesToSave)) refuse("modulesToSave", "a list of names");
  for (const [key, isGood, expected] of [
    ["rankPattern", isRank, "a rank (a whole number from 1 on) for each expression"],
    ["alphaPattern", isNumber, "a number for each expression"],
  ] as const) {
    for (const [expression, value] of Object.entries(config[key])) {
      checkExpression(key, expression);
      if (!isGood(value)) refuse(key, expected);
    }
  }
  return Object.freeze(config);
}

function checkExpression(key: keyof LoraConfig, expression: string): void {
  try {
    new RegExp(expression);
  } catch (cause) {
    throw new PeftError(
      "E_CONFIG_VALUE",
      `LoraConfig: ${key} has "${expression}", which is not a regular expression (${(cause as Error).message}).`,
      { cause },
    );
  }
}

/** `loraAlpha` ↔ `lora_alpha`; `useRslora` ↔ `use_rslora`. */
const inFile = (name: string) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/** Settings of other methods that change nothing while they have these values; beside null, false, {} and []. */
const IDLE: Readonly<Record<string, unknown>> = { megatron_core: "megatron.core", qalora_group_size: 16 };

/** Entries about the file rather than the adapter. */
const NOTES = new Set(["peft_type", "peft_version", "auto_mapping", "revision"]);

function isIdle(key: string, value: unknown): boolean {
  if (value === null || value === false || value === IDLE[key]) return true;
  return typeof value === "object" && Object.keys(value as object).length === 0;
}

/**
 * Reads PEFT's `adapter_config.json`.
 * @param name the file, for messages
 * @throws PeftError `E_CONFIG_UNSUPPORTED` for another method than LoRA, or a setting that would change the result and is not
 *   known here (such as `use_dora`); otherwise as `loraConfig`
 */
export function loraConfigFromJson(
  json: Readonly<Record<string, unknown>>,
  name = "adapter_config.json",
): Readonly<LoraConfig> {
  if (json.peft_type !== "LORA") {
    throw new PeftError(
      "E_CONFIG_UNSUPPORTED",
      `${name}: peft_type is ${JSON.stringify(json.peft_type ?? null)}; this version reads LORA.`,
    );
  }
  const known = new Map(NAMES.map((key) => [inFile(key), key]));
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const setting = known.get(key);
    if (setting) given[setting] = value ?? DEFAULTS[setting];
    else if (!NOTES.has(key) && !isIdle(key, value)) {
      throw new PeftError(
        "E_CONFIG_UNSUPPORTED",
        `${name}: ${key} is ${JSON.stringify(value)}, which this version cannot follow. ` +
          "Merge the adapter in Python (merge_and_unload) and load the whole model instead.",
      );
    }
  }
  try {
    return loraConfig(given as Partial<LoraConfig>);
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    throw new PeftError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}

/** The settings as PEFT writes them. Settings of other methods are left out: PEFT then takes their defaults. */
export function loraConfigToJson(config: LoraConfig): Record<string, unknown> {
  const entries: [string, unknown][] = NAMES.map((key) => [inFile(key), config[key]]);
  entries.push(["peft_type", "LORA"], ["auto_mapping", null], ["fan_in_fan_out", false], ["revision", null]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
