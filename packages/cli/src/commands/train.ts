import { readFile } from "node:fs/promises";
import { type DatasetDict, loadDataset } from "@wgrad/datasets";
import type { TrainingArguments } from "@wgrad/trainer";
import { type Command, InvalidArgumentError } from "commander";
import { parse, stringify } from "yaml";
import { withDevice } from "../device.js";
import { EXIT, UsageError } from "../errors.js";
import {
  labelColumnOf,
  labelNamesOf,
  remarks,
  takeSplit,
  textColumnOf,
  tokenizeSplit,
} from "../training/data.js";
import { chooseMaxLength, loadClassifier } from "../training/load.js";
import { guardOutputDir, runTraining } from "../training/run.js";
import {
  flagOf,
  makeRecipe,
  parseValue,
  type Recipe,
  recipeToJson,
  SETTINGS,
  settingsFromJson,
} from "../training/settings.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";

/** Flags of `wgrad train` that are no part of a recipe. */
interface OwnFlags {
  json?: boolean;
  resume?: string | boolean;
  overwriteOutputDir?: boolean;
  offline?: boolean;
}

/** `wgrad train`. */
export const train: Verb = {
  define(command, context) {
    command.argument(
      "[recipe]",
      "YAML file whose keys are Hugging Face's snake_case names; flags override it",
    );
    addRecipeFlags(command);
    command
      .option("--resume [dir]", "go on from this checkpoint, or from the newest in the output folder")
      .option("--overwrite-output-dir", "remove the checkpoints of an earlier run in the output folder")
      .option("--offline", "never touch the network")
      .addHelpText(
        "after",
        examples([
          [
            "wgrad train --model distilbert-base-uncased --dataset data/rotten_tomatoes",
            "3 epochs, AdamW 5e-5",
          ],
          [
            "wgrad train recipe.yaml --learning-rate 2e-5 --output-dir runs/low-rate",
            "a recipe with one change",
          ],
          [
            "wgrad train --model my-model --dataset data --subset 64 --max-steps 4",
            "see quickly whether it runs",
          ],
          ["wgrad train runs/low-rate/recipe.yaml --resume", "go on after Ctrl-C"],
        ]),
      )
      .action(async (recipeFile: string | undefined, flags: OwnFlags & Record<string, unknown>) => {
        const { json, resume, overwriteOutputDir, offline, ...given } = flags;
        const ui = context.ui({ json: json ?? false });
        const fromFile = recipeFile === undefined ? {} : await readRecipe(recipeFile);
        const recipe = makeRecipe({ ...fromFile, ...given });
        await guardOutputDir(recipe.args.outputDir, {
          resume: Boolean(resume),
          overwrite: overwriteOutputDir ?? false,
        });
        const result = await trainFromRecipe(
          recipe,
          { resume: resume ?? false, offline: offline ?? false },
          ui,
        );
        ui.document(result);
        if (result.interrupted) context.exit(EXIT.interrupted);
      });
  },
};

/** One flag for each key of a recipe. */
function addRecipeFlags(command: Command): void {
  for (const setting of SETTINGS) {
    const placeholder = { text: "<name>", number: "<n>", boolean: "[bool]", json: "<json>" }[setting.kind];
    const value = setting.default === undefined ? "" : ` (default: ${String(setting.default)})`;
    command.option(`${flagOf(setting.name)} ${placeholder}`, setting.help + value, (text: string) => {
      try {
        return parseValue(setting, text);
      } catch (error) {
        throw new InvalidArgumentError(error instanceof UsageError ? error.message : String(error));
      }
    });
  }
}

/** @throws UsageError for a file that is missing, no YAML, or no mapping */
async function readRecipe(path: string): Promise<Record<string, unknown>> {
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
  // YAML 1.2 reads 5e-5 as a number only with a dot in other tools' writing; a text that is a number is meant as one.
  return settingsFromJson(json as Record<string, unknown>, path);
}

/** Loads everything that a recipe names and trains. */
async function trainFromRecipe(
  { settings, args }: Recipe,
  options: { resume: string | boolean; offline: boolean },
  ui: Ui,
) {
  const splits = loadDataset(settings.dataset) as DatasetDict;
  const trainSplit = takeSplit(splits, settings.trainSplit, settings.subset, args.seed);
  const textColumn = textColumnOf(trainSplit, settings.textColumn);
  const labelColumn = labelColumnOf(trainSplit, settings.labelColumn);
  const labels = labelNamesOf(trainSplit, labelColumn);
  return withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    const { model, tokenizer } = await loadClassifier(
      device,
      settings.model,
      { labels, trained: false, offline: options.offline },
      ui,
    );
    const maxLength = chooseMaxLength(settings.maxLength, model);
    const prepare = (split: string, needsLabels: boolean) => {
      if (!splits.has(split)) return null;
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
    const train = prepare(settings.trainSplit, true)!;
    const validation = prepare(settings.evalSplit, true);
    const test = prepare(settings.testSplit, false);
    const runArgs = withoutEvaluation(args, validation === null, settings.evalSplit, ui);
    const sizes = [
      `train ${train.numRows}`,
      ...(validation ? [`validation ${validation.numRows}`] : []),
      ...(test ? [`test ${test.numRows}`] : []),
    ];
    ui.note(
      `Data: ${settings.dataset}: ${sizes.join(", ")}; classes ${labels.slice(0, 8).join(", ")}${labels.length > 8 ? ", …" : ""}`,
    );
    ui.note(`Model: ${settings.model}: ${model.numParameters().toLocaleString("en-US")} parameters`);
    const recipe = `# Written by wgrad train. Run it again: wgrad train recipe.yaml --output-dir another-folder\n${stringify(recipeToJson({ settings: { ...settings, maxLength }, args: runArgs }))}`;
    return runTraining(
      {
        model,
        tokenizer,
        args: runArgs,
        padToMultipleOf: settings.padToMultipleOf,
        train,
        validation,
        test,
        resume: options.resume,
        recipe,
      },
      ui,
    );
  });
}

/** Without a split to evaluate on there is no evaluation, and nothing to choose the best checkpoint by. */
function withoutEvaluation(args: Readonly<TrainingArguments>, isMissing: boolean, split: string, ui: Ui) {
  if (!isMissing || args.evalStrategy === "no") return args;
  ui.note(`There is no split "${split}" to evaluate on during training (--eval-split).`);
  return { ...args, evalStrategy: "no" as const, loadBestModelAtEnd: false };
}
