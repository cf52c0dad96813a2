import { basename } from "node:path";
import { nearest } from "@wgrad/tensor";
import { foreignArgument, type TrainingArguments, toSnakeCase, trainingArguments } from "@wgrad/trainer";
import { UsageError } from "../errors.js";
import { readAdapterConfig } from "./adapter.js";
import { ARGUMENT_DEFAULTS, argumentSettings } from "./argument-settings.js";
import { EXPECTED, flagOf, isOfKind, SAVING, type Setting } from "./setting.js";

export { flagOf, parseValue, type Setting } from "./setting.js";

/** What a run is told beside the trainer's arguments. */
export interface RunSettings {
  /** Folder or hub id of the model to start from. */
  model: string;
  /** Folder, file or hub id. */
  dataset: string;
  /** Column of the texts; null: `text`, `sentence` or the only column of strings. */
  textColumn: string | null;
  /** Column of the classes; null: `label`, `labels` or the only ClassLabel. */
  labelColumn: string | null;
  trainSplit: string;
  evalSplit: string;
  testSplit: string;
  /** Tokens of an example, special ones included; longer texts are cut. Null: 128, or the model's positions if fewer. */
  maxLength: number | null;
  /** Rows of a batch one behind the other, so that no work is spent on padding; else padded to one length. */
  paddingFree: boolean;
  /**
   * What a batch is rounded up to, so that fewer different shapes occur: tokens of all its rows where `paddingFree`, else of its
   * longest. Null: 64, else 8.
   */
  padToMultipleOf: number | null;
  /** Examples of each split to use, drawn with the seed; null for all. */
  subset: number | null;
  /** Rows of the training split set aside where there is no split to evaluate on: a share or a number; null for none. */
  validationSize: number | null;
  /** The same for the split to test on. */
  testSize: number | null;
  /** Folder or hub id of the model below, where `model` is an adapter's folder; null: what the adapter names. */
  baseModel: string | null;
  /** An adapter to train in place of the weights: keys and values of PEFT's `adapter_config.json`; null for none. */
  peft: Readonly<Record<string, unknown>> | null;
  /** Evaluations without improvement after which training stops; null: it does not. */
  earlyStoppingPatience: number | null;
  /** Least improvement that counts. */
  earlyStoppingThreshold: number;
  /** Files of the user's own kernels by op: see `wgrad kernels`. */
  kernel: Record<string, string> | null;
  /** Steps of the ladders to use in place of the chosen ones, by op. */
  variant: Record<string, string> | null;
}

/** A run as a recipe describes it. */
export interface Recipe {
  settings: RunSettings;
  args: Readonly<TrainingArguments>;
}

const DATA = "Model and data:";
const LORA = "LoRA:";
const KERNELS = "Kernels:";

const RUN_SETTINGS: readonly Setting[] = [
  {
    name: "model",
    kind: "text",
    group: DATA,
    help: "folder or hub id of the model to start from (required)",
  },
  {
    name: "dataset",
    kind: "text",
    group: DATA,
    help: "folder, file or hub id of the data: Parquet, CSV or JSON lines (required)",
  },
  {
    name: "textColumn",
    kind: "text",
    group: DATA,
    help: "column of the texts (default: text, sentence or the only one)",
  },
  {
    name: "labelColumn",
    kind: "text",
    group: DATA,
    help: "column of the classes (default: label, labels or the only one)",
  },
  { name: "trainSplit", kind: "text", group: DATA, help: "split to train on", default: "train" },
  {
    name: "evalSplit",
    kind: "text",
    group: DATA,
    help: "split to evaluate on during training",
    default: "validation",
  },
  { name: "testSplit", kind: "text", group: DATA, help: "split to evaluate on at the end", default: "test" },
  {
    name: "maxLength",
    kind: "number",
    group: DATA,
    help: "tokens of an example; longer texts are cut (default: 128, or the model's positions)",
  },
  {
    name: "paddingFree",
    kind: "boolean",
    group: DATA,
    help: "put the rows of a batch one behind the other instead of padding them",
    default: true,
  },
  {
    name: "padToMultipleOf",
    kind: "number",
    group: DATA,
    help: "round a batch up to a multiple of so many tokens (default: 64 of all rows; padded: 8 of the longest)",
  },
  {
    name: "subset",
    kind: "number",
    group: DATA,
    help: "use this many examples of each split, drawn with the seed",
  },
  {
    name: "validationSize",
    kind: "number",
    group: DATA,
    help: "rows of the training split to evaluate on, where no split is there for it: a share or a number",
  },
  {
    name: "testSize",
    kind: "number",
    group: DATA,
    help: "rows of the training split to test on, where no split is there for it: a share or a number",
  },
  {
    name: "baseModel",
    kind: "text",
    group: DATA,
    help: "where --model is an adapter: the model below (default: what adapter_config.json names)",
  },
  {
    name: "peft",
    kind: "json",
    group: LORA,
    help: "an adapter, by the keys of PEFT's adapter_config.json (default: none)",
  },
  { name: "loraR", peftKey: "r", kind: "number", group: LORA, help: "rank: width of the adapter" },
  {
    name: "loraAlpha",
    peftKey: "lora_alpha",
    kind: "number",
    group: LORA,
    help: "the adapter counts alpha / r times",
  },
  {
    name: "loraDropout",
    peftKey: "lora_dropout",
    kind: "number",
    group: LORA,
    help: "dropout of the adapter's input",
  },
  {
    name: "loraTargetModules",
    peftKey: "target_modules",
    kind: "list",
    group: LORA,
    help: "layers that get an adapter: endings of names, all-linear or a regular expression (default: q_lin,v_lin)",
  },
  {
    name: "useRslora",
    peftKey: "use_rslora",
    kind: "boolean",
    group: LORA,
    help: "the adapter counts alpha / √r times",
  },
  {
    name: "useDora",
    peftKey: "use_dora",
    kind: "boolean",
    group: LORA,
    help: "train the length of each output's weights apart from their direction",
  },
  {
    name: "earlyStoppingPatience",
    kind: "number",
    group: SAVING,
    help: "stop after so many evaluations without improvement (default: never)",
  },
  {
    name: "earlyStoppingThreshold",
    kind: "number",
    group: SAVING,
    help: "least improvement that counts",
    default: 0,
  },
  {
    name: "kernel",
    kind: "map",
    group: KERNELS,
    help: "your own kernel for an op, checked first: op=file.wgsl (repeatable; see wgrad kernels)",
  },
  {
    name: "variant",
    kind: "map",
    group: KERNELS,
    help: "use this step of an op's ladder: op=step (repeatable)",
  },
];

/** Every key of a recipe, each also a flag: the one table from which flags, recipes and `--help` are made. */
export const SETTINGS: readonly Setting[] = [...RUN_SETTINGS, ...argumentSettings()];

/** Those of {@link SETTINGS} that every weight's training has: all but the adapter's. */
export const FULL_SETTINGS: readonly Setting[] = SETTINGS.filter(({ group }) => group !== LORA);

/** Some of {@link SETTINGS}, by name: for labs that need few. */
export function settingsNamed(...names: readonly string[]): Setting[] {
  return names.map((name) => {
    const setting = SETTINGS.find((s) => s.name === name);
    if (!setting) throw new Error(`there is no setting "${name}"`);
    return setting;
  });
}

/**
 * Settings of a recipe's keys, which are snake_case.
 * @param where the file, for messages
 * @param options.settings the keys there are; default those of `wgrad train`
 * @param options.command whose `--help` lists them
 * @throws UsageError for an unknown key, with the nearest known one, and for a value of the wrong kind
 */
export function settingsFromJson(
  json: Readonly<Record<string, unknown>>,
  where: string,
  options: { readonly settings?: readonly Setting[]; readonly command?: string } = {},
): Record<string, unknown> {
  const { settings = SETTINGS, command = "wgrad train" } = options;
  const keys = settings.filter((setting) => setting.peftKey === undefined);
  const known = new Map(keys.map((setting) => [toSnakeCase(setting.name), setting]));
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(json)) {
    const setting = known.get(key);
    if (!setting) {
      const foreign = foreignArgument(key);
      if (foreign)
        throw new UsageError(`${where}: ${key} has no meaning here: ${foreign.reason} Leave it out.`);
      throw new UsageError(
        `${where}: unknown key "${key}". Did you mean ${nearest(key, [...known.keys()])}? All keys: ${command} --help (with _ for -).`,
      );
    }
    if (value === null || value === undefined) continue;
    if (!isOfKind(setting.kind, value)) {
      throw new UsageError(
        `${where}: ${key} is ${JSON.stringify(value)}, expected ${EXPECTED[setting.kind]}.`,
      );
    }
    // A single name is a list of one.
    out[setting.name] = setting.kind === "list" && typeof value === "string" ? [value] : value;
  }
  return out;
}

/**
 * Fills in defaults and checks what can be checked without looking at files.
 * @throws UsageError, or TrainerError for an argument out of range
 */
export function makeRecipe(given: Readonly<Record<string, unknown>>): Recipe {
  const keys = RUN_SETTINGS.filter((setting) => setting.peftKey === undefined);
  const defaults = Object.fromEntries(keys.map((s) => [s.name, s.default ?? null]));
  const settings: Record<string, unknown> = { ...defaults };
  const args: Record<string, unknown> = { ...ARGUMENT_DEFAULTS };
  const peft: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const { peftKey } = RUN_SETTINGS.find((setting) => setting.name === name) ?? {};
    if (peftKey !== undefined) peft[peftKey] = value;
    else if (name in defaults) settings[name] = value;
    else args[name] = value;
  }
  for (const name of ["model", "dataset"]) {
    if (!settings[name])
      throw new UsageError(`${flagOf(name)} is missing: give it, or write ${name}: … into a recipe.`);
  }
  for (const name of ["maxLength", "padToMultipleOf", "subset", "earlyStoppingPatience"]) {
    const value = settings[name] as number | null;
    if (value !== null && (!Number.isInteger(value) || value < 1)) {
      throw new UsageError(`${flagOf(name)} is ${value}, expected a whole number from 1 on.`);
    }
  }
  for (const name of ["validationSize", "testSize"]) {
    const value = settings[name] as number | null;
    if (value !== null && !(value > 0 && (value < 1 || Number.isInteger(value)))) {
      throw new UsageError(
        `${flagOf(name)} is ${value}, expected a share between 0 and 1 or a number of rows.`,
      );
    }
  }
  const run = settings as unknown as RunSettings;
  if (run.peft !== null || Object.keys(peft).length > 0) run.peft = adapterSettings(run.peft ?? {}, peft);
  args.outputDir ??= `runs/${stem(run.model)}-${stem(run.dataset)}`;
  const recipe = { settings: run, args: trainingArguments(args as Partial<TrainingArguments>) };
  if (run.earlyStoppingPatience !== null && recipe.args.evalStrategy === "no") {
    throw new UsageError(
      "--early-stopping-patience needs evaluations during training: --eval-strategy epoch or steps.",
    );
  }
  return recipe;
}

/** Where nothing else is said: LoRA on queries and values. */
const LORA_DEFAULTS = { peft_type: "LORA", task_type: "SEQ_CLS", target_modules: ["q_lin", "v_lin"] };

/**
 * The mapping `peft` with what flags add to it.
 * @throws UsageError for what is no setting of the adapter
 */
function adapterSettings(
  given: Readonly<Record<string, unknown>>,
  flags: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const isLora = (given.peft_type ?? "LORA") === "LORA";
  const config: Record<string, unknown> = {
    ...(isLora ? LORA_DEFAULTS : { task_type: "SEQ_CLS" }),
    ...given,
    ...flags,
  };
  const targets = flags.target_modules as readonly string[] | undefined;
  // One name that is none: PEFT's word for all, or an expression.
  if (targets?.length === 1 && /^all-linear$|[*+?()[\]|\\^$]/.test(targets[0]!))
    config.target_modules = targets[0];
  readAdapterConfig(config, "peft");
  return config;
}

function stem(path: string): string {
  const name = basename(path).replace(/\.(parquet|csv|tsv|jsonl?|ndjson)(\.gz)?$/i, "");
  return name.replace(/[^\w.-]+/g, "-") || "run";
}

/** A recipe with every key, as it is saved with the run; keys without a value are left out. */
export function recipeToJson({ settings, args }: Recipe): Record<string, unknown> {
  const all = { ...settings, ...args } as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(all)
      .filter(
        ([name, value]) =>
          // Where a run went on from is no part of what it is.
          name !== "resumeFromCheckpoint" &&
          value !== null &&
          !(typeof value === "object" && Object.keys(value).length === 0),
      )
      .map(([name, value]) => [toSnakeCase(name), value]),
  );
}
