/** What the settings of all methods have in common: PEFT's names in camelCase, its defaults, and its `adapter_config.json`. */
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

const TASKS: readonly TaskType[] = [
  "SEQ_CLS",
  "TOKEN_CLS",
  "QUESTION_ANS",
  "FEATURE_EXTRACTION",
  "CAUSAL_LM",
  "SEQ_2_SEQ_LM",
];

/** Settings of every method: `peft.PeftConfig`. */
export interface CommonConfig {
  /** The method. */
  peftType: string;
  /** Default null: no heads are trained. */
  taskType: TaskType | null;
  /**
   * Modules that are trained and saved whole, by the end of their names (`"classifier"` takes `pre_classifier` too, as in
   * PEFT). The heads of the task come on top. Default null.
   */
  modulesToSave: readonly string[] | null;
  /** Folder or hub id of the model below, kept in the file for those who load it. Default null. */
  baseModelNameOrPath: string | null;
  /** Loaded for use, not for training. Default false. */
  inferenceMode: boolean;
}

/** Defaults of the settings that every method has. */
export const COMMON_DEFAULTS: Omit<CommonConfig, "peftType"> = {
  taskType: null,
  modulesToSave: null,
  baseModelNameOrPath: null,
  inferenceMode: false,
};

/** Settings of methods that put adapters around layers. */
export interface TargetConfig extends CommonConfig {
  /**
   * Layers that get an adapter. A list: names, or endings of them at a dot (`"q_lin"`, `"attention.q_lin"`). A text: a regular
   * expression for the whole path, or `"all-linear"` for all Linear layers but the head. null is refused by `getPeftModel`.
   */
  targetModules: readonly string[] | string | null;
  /** Modules that are left out of the targets; list or expression as there. Default null. */
  excludeModules: readonly string[] | string | null;
}

/** Defaults of `TargetConfig`. */
export const TARGET_DEFAULTS: Omit<TargetConfig, "peftType"> = {
  targetModules: null,
  excludeModules: null,
  ...COMMON_DEFAULTS,
};

/** Ends of the names of modules that PEFT trains and saves for a task, beside `modulesToSave`. */
export function headsOf(taskType: TaskType | null): readonly string[] {
  if (taskType === "SEQ_CLS" || taskType === "TOKEN_CLS") return ["classifier", "score"];
  return taskType === "QUESTION_ANS" ? ["qa_outputs"] : [];
}

/** Complains about one setting of a config: `<Config>: <setting> is <value>, expected <expected>.` */
export type Refuse<C> = (setting: keyof C & string, expected: string) => never;

/** What there is to know about the settings of one method. */
export interface ConfigKind<C extends CommonConfig> {
  /** PEFT's name of it, such as `LoraConfig`. */
  readonly name: string;
  /** Every setting with its default; with it the method's `peftType`. */
  readonly defaults: C;
  /** Settings of PEFT that are not followed here and change nothing at these values, beside null, false, {} and []. */
  readonly idle: Readonly<Record<string, unknown>>;
  /** Checks the settings that this method has beyond the common ones. */
  readonly check: (config: C, refuse: Refuse<C>) => void;
}

/** True for a list of texts. */
export const isNames = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((name) => typeof name === "string");

/** True for a whole number from `least` on. */
export const isCount = (value: unknown, least = 1): boolean =>
  Number.isInteger(value) && (value as number) >= least;

/** True for a finite number. */
export const isNumber = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value);

/** Refuses a text that is not a regular expression. */
export function checkExpression(config: string, setting: string, expression: string): void {
  try {
    new RegExp(expression);
  } catch (cause) {
    throw new PeftError(
      "E_CONFIG_VALUE",
      `${config}: ${setting} has "${expression}", which is not a regular expression (${(cause as Error).message}).`,
      { cause },
    );
  }
}

/** Refuses what is neither null, a list of names nor an expression. */
export function checkNamesOrExpression<C>(
  name: string,
  config: C,
  setting: keyof C & string,
  refuse: Refuse<C>,
): void {
  const value: unknown = config[setting];
  if (typeof value === "string") checkExpression(name, setting, value);
  else if (value !== null && !isNames(value))
    refuse(setting, "a list of names, or a text that is a regular expression");
}

/**
 * Fills in the defaults of a method and checks every setting. The result is frozen.
 * @throws PeftError `E_CONFIG_UNKNOWN` with the nearest known name, `E_CONFIG_VALUE` for a value out of range
 */
export function makeConfig<C extends CommonConfig>(kind: ConfigKind<C>, given: Partial<C>): Readonly<C> {
  const { name, defaults } = kind;
  for (const key of Object.keys(given)) {
    if (key in defaults) continue;
    throw new PeftError(
      "E_CONFIG_UNKNOWN",
      `${name}: "${key}" is not a setting. Did you mean ${nearest(key, Object.keys(defaults))}?`,
    );
  }
  const config: C = {
    ...defaults,
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  };
  const refuse: Refuse<C> = (key, expected) => {
    throw new PeftError(
      "E_CONFIG_VALUE",
      `${name}: ${key} is ${JSON.stringify(config[key])}, expected ${expected}.`,
    );
  };
  if (config.peftType !== defaults.peftType) refuse("peftType", JSON.stringify(defaults.peftType));
  if (config.taskType !== null && !TASKS.includes(config.taskType))
    refuse("taskType", `null or one of ${TASKS.join(", ")}`);
  if (config.modulesToSave !== null && !isNames(config.modulesToSave))
    refuse("modulesToSave", "a list of names");
  kind.check(config, refuse);
  return Object.freeze(config);
}

/** `loraAlpha` ↔ `lora_alpha`; `useRslora` ↔ `use_rslora`; `initIa3Weights` ↔ `init_ia3_weights`. */
const inFile = (name: string) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

/** Entries about the file rather than the adapter. */
const NOTES = new Set(["peft_type", "peft_version", "auto_mapping", "revision"]);

function isIdle(kind: ConfigKind<never>, key: string, value: unknown): boolean {
  if (value === null || value === false || value === kind.idle[key]) return true;
  return typeof value === "object" && Object.keys(value as object).length === 0;
}

/**
 * Reads the settings of a method from PEFT's `adapter_config.json`.
 * @param file for messages
 * @throws PeftError `E_CONFIG_UNSUPPORTED` for a setting that would change the result and is not known here; otherwise as `makeConfig`
 */
export function configFromJson<C extends CommonConfig>(
  kind: ConfigKind<C>,
  json: Readonly<Record<string, unknown>>,
  file: string,
): Readonly<C> {
  const defaults: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(kind.defaults));
  const known = new Map(Object.keys(defaults).map((key) => [inFile(key), key]));
  const given: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const setting = known.get(key);
    if (setting) given[setting] = value ?? defaults[setting];
    else if (!NOTES.has(key) && !isIdle(kind as unknown as ConfigKind<never>, key, value)) {
      throw new PeftError(
        "E_CONFIG_UNSUPPORTED",
        `${file}: ${key} is ${JSON.stringify(value)}, which this version cannot follow. ` +
          "Merge the adapter in Python (merge_and_unload) and load the whole model instead.",
      );
    }
  }
  try {
    return makeConfig(kind, given as Partial<C>);
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    throw new PeftError(error.code, `${file}: ${error.message}`, { cause: error });
  }
}

/**
 * The settings as PEFT writes them, sorted. What is left out has PEFT's default when it is read there.
 * @param more entries that PEFT writes beside the settings
 */
export function configToJson(
  config: CommonConfig,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const entries = Object.entries(config).map(([key, value]): [string, unknown] => [inFile(key), value]);
  entries.push(["auto_mapping", null], ["revision", null], ...Object.entries(more));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
