import type { TrainingArguments } from "@wgrad/trainer";
import { stringify } from "yaml";
import { withDevice } from "../device.js";
import { EXIT } from "../errors.js";
import { assignmentsOf } from "../kernels/assignment.js";
import { ownKernelsJson, useOwnKernels, useVariants } from "../kernels/own.js";
import { addRecipeFlags } from "../training/flags.js";
import { prepareTraining, readRecipe } from "../training/prepare.js";
import { guardOutputDir, runTraining } from "../training/run.js";
import { makeRecipe, type Recipe, recipeToJson } from "../training/settings.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";

/** Flags of `wgrad train` that are no part of a recipe. */
interface OwnFlags {
  json?: boolean;
  resume?: string | boolean;
  overwriteOutputDir?: boolean;
  offline?: boolean;
  force?: boolean;
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
      .option("--force", "train with a kernel of your own that is wrong; the run says so")
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
          ["wgrad train recipe.yaml --kernel matmul=mine.wgsl", "with a kernel of your own"],
        ]),
      )
      .action(async (recipeFile: string | undefined, flags: OwnFlags & Record<string, unknown>) => {
        const { json, resume, overwriteOutputDir, offline, force, ...given } = flags;
        const ui = context.ui({ json: json ?? false });
        const fromFile = recipeFile === undefined ? {} : await readRecipe(recipeFile);
        const recipe = makeRecipe({ ...fromFile, ...given });
        await guardOutputDir(recipe.args.outputDir, {
          resume: Boolean(resume),
          overwrite: overwriteOutputDir ?? false,
        });
        const result = await trainFromRecipe(
          recipe,
          { resume: resume ?? false, offline: offline ?? false, force: force ?? false },
          ui,
        );
        ui.document(result);
        if (result.interrupted) context.exit(EXIT.interrupted);
      });
  },
};

/** Loads everything that a recipe names and trains. */
async function trainFromRecipe(
  { settings, args }: Recipe,
  options: { resume: string | boolean; offline: boolean; force: boolean },
  ui: Ui,
) {
  return withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    const own = await useOwnKernels(device, assignmentsOf(settings.kernel), { force: options.force, ui });
    useVariants(device, assignmentsOf(settings.variant));
    const prepared = await prepareTraining(device, { settings, args }, options, ui);
    const { model, tokenizer, labels, maxLength, train, validation, test } = prepared;
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
        batches: settings,
        train,
        validation,
        test,
        resume: options.resume,
        recipe,
        ownKernels: ownKernelsJson(own),
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
