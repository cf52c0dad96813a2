import { EXIT } from "../errors.js";
import { addRecipeFlags } from "../training/flags.js";
import { readRecipe } from "../training/prepare.js";
import { guardOutputDir } from "../training/run.js";
import { makeRecipe } from "../training/settings.js";
import { trainFromRecipe } from "../training/train.js";
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
        const from = resume ?? recipe.args.resumeFromCheckpoint ?? false;
        await guardOutputDir(recipe.args.outputDir, {
          resume: Boolean(from),
          overwrite: overwriteOutputDir ?? false,
        });
        const result = await trainFromRecipe(
          recipe,
          { lab: "train", resume: from, offline: offline ?? false, force: force ?? false },
          ui,
        );
        ui.document(result);
        if (result.interrupted) context.exit(EXIT.interrupted);
      });
  },
};
