import { readFile } from "node:fs/promises";
import { type Dataset, DatasetDict } from "@wgrad/datasets";
import type { DistilBertConfig } from "@wgrad/models";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { type Device, manualSeed } from "@wgrad/tensor";
import type { Example, TrainableModel } from "@wgrad/trainer";
import { parse } from "yaml";
import { UsageError } from "../errors.js";
import type { Ui } from "../ui.js";
import { withAdapter } from "./adapter.js";
import {
  labelColumnOf,
  labelNamesOf,
  openDataset,
  remarks,
  takeSplit,
  textColumnOf,
  tokenizeSplit,
} from "./data.js";
import { chooseMaxLength, loadClassifier } from "./load.js";
import { type Recipe, type RunSettings, type Setting, settingsFromJson, settingsNamed } from "./settings.js";

/** Labs that train as `wgrad train` does, so that it takes their recipes too. */
const TRAINING_LABS: readonly string[] = ["finetune", "lora"];

/** What {@link readRecipe} expects of a recipe; by default what `wgrad train` does. */
export interface RecipeKind {
  /** Keys there are. */
  readonly settings?: readonly Setting[];
  /** Values of its key `lab` that are right, where it has one. */
  readonly labs?: readonly string[];
  /** Whose `--help` lists the keys. */
  readonly command?: string;
}

/**
 * Settings of a recipe.
 * @throws UsageError for a file that is missing, no YAML, no mapping, or a recipe for something else
 */
export async function readRecipe(path: string, kind: RecipeKind = {}): Promise<Record<string, unknown>> {
  const { lab, ...json } = await readYaml(path);
  const { labs = TRAINING_LABS, command = "wgrad train" } = kind;
  if (lab !== undefined && !(typeof lab === "string" && labs.includes(lab))) {
    throw new UsageError(
      `${path} is a recipe of the lab ${JSON.stringify(lab)}, not of ${command}. Run it with: wgrad lab ${String(lab)} ${path}`,
    );
  }
  return settingsFromJson(json, path, kind);
}

/**
 * A recipe as it stands in its file.
 * @throws UsageError for a file that is missing, no YAML, or no mapping
 */
export async function readYaml(path: string): Promise<Record<string, unknown>> {
  let json: unknown;
  try {
    json = parse(await readFile(path, "utf8"));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new UsageError(`${path}: there is no such recipe.`, { cause });
    throw new UsageError(`${path}: not YAML (${message.split("\n")[0]}).`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UsageError(`${path}: a recipe is a mapping such as "learning_rate: 5e-5", one key a line.`);
  }
  return json as Record<string, unknown>;
}

/** Everything that a recipe names, loaded. */
export interface PreparedTraining {
  /** With the adapter, where the recipe asks for one. */
  readonly model: TrainableModel;
  /** Of the model, below the adapter. */
  readonly config: DistilBertConfig;
  readonly tokenizer: PreTrainedTokenizer;
  /** Names of the classes. */
  readonly labels: readonly string[];
  readonly maxLength: number;
  readonly train: Dataset<Example>;
  /** Null where the data set has no such split, or it was not asked for. */
  readonly validation: Dataset<Example> | null;
  readonly test: Dataset<Example> | null;
  /** The model anew, with the weights it had in the beginning. */
  fresh(): Promise<TrainableModel>;
}

/**
 * Loads the model, the tokenizer and the tokenized splits of a recipe.
 * @param options.trainOnly leaves out the splits to evaluate on
 */
export async function prepareTraining(
  device: Device,
  { settings, args }: Recipe,
  options: { readonly offline: boolean; readonly trainOnly?: boolean },
  ui: Ui,
): Promise<PreparedTraining> {
  const splits = setAside(
    await openDataset(settings.dataset, { offline: options.offline, ui }),
    settings,
    args.seed,
    ui,
  );
  const trainSplit = takeSplit(splits, settings.trainSplit, settings.subset, args.seed);
  const textColumn = textColumnOf(trainSplit, settings.textColumn);
  const labelColumn = labelColumnOf(trainSplit, settings.labelColumn);
  const labels = labelNamesOf(trainSplit, labelColumn);
  const load = async () => {
    // A head without weights is drawn anew, from the recipe's seed; so is an adapter.
    manualSeed(device, args.seed);
    const { offline } = options;
    const { baseModel } = settings;
    const loaded = await loadClassifier(
      device,
      settings.model,
      { labels, trained: false, offline, baseModel },
      ui,
    );
    return { ...loaded, model: withAdapter(loaded.model, settings.peft, settings.model) };
  };
  const { model, config, tokenizer } = await load();
  const maxLength = chooseMaxLength(settings.maxLength, { config });
  const prepare = (split: string, needsLabels: boolean) => {
    const rows = takeSplit(splits, split, settings.subset, args.seed);
    const column = needsLabels || rows.columnNames.includes(labelColumn) ? labelColumn : null;
    const tokenized = tokenizeSplit(
      rows,
      { textColumn, labelColumn: column, labels, tokenizer, maxLength, needsLabels },
      ui,
    );
    for (const line of remarks(split, tokenized, maxLength)) ui.note(line);
    return tokenized.examples;
  };
  const train = prepare(settings.trainSplit, true);
  const isThere = (split: string) => !options.trainOnly && splits.has(split);
  const validation = isThere(settings.evalSplit) ? prepare(settings.evalSplit, true) : null;
  const test = isThere(settings.testSplit) ? prepare(settings.testSplit, false) : null;
  return {
    model,
    config,
    tokenizer,
    labels,
    maxLength,
    train,
    validation,
    test,
    fresh: async () => (await load()).model,
  };
}

/** Names of the splits where nobody says: only these may be missing. */
const CUSTOMARY: readonly string[] = settingsNamed("evalSplit", "testSplit").map((s) => String(s.default));

/**
 * The splits, with those to evaluate and to test on cut off the training split where the data set has none and the recipe says
 * how large they are to be.
 * @throws DatasetError for a split that was named and is not there, and for sizes that leave nothing
 */
export function setAside(
  splits: DatasetDict,
  settings: Pick<RunSettings, "trainSplit" | "evalSplit" | "testSplit" | "validationSize" | "testSize">,
  seed: number,
  ui: Ui,
): DatasetDict {
  const { trainSplit, evalSplit, testSplit, validationSize, testSize } = settings;
  const all = splits.get(trainSplit).numRows;
  let result = splits;
  for (const [name, size, flag] of [
    [testSplit, testSize, "--test-size"],
    [evalSplit, validationSize, "--validation-size"],
  ] as const) {
    if (splits.has(name)) {
      if (size !== null) ui.note(`${splits.name} has a split "${name}": ${flag} is not needed.`);
    } else if (size !== null) {
      // Shares are of all rows, whichever split is cut off first.
      const rows = size < 1 ? Math.ceil(size * all) : size;
      const { train, test } = Object.fromEntries(
        result.get(trainSplit).trainTestSplit({ testSize: rows, seed }),
      );
      result = new DatasetDict(
        { ...Object.fromEntries(result), [trainSplit]: train!, [name]: test! },
        splits.name,
      );
      ui.note(`${name}: ${rows} of the ${all} rows of ${trainSplit}, set aside with seed ${seed}.`);
    } else if (!CUSTOMARY.includes(name)) {
      splits.get(name);
    }
  }
  return result;
}
