import { EXIT } from "../../errors.js";
import { guardOutputDir } from "../../training/run.js";
import { makeRecipe, SETTINGS } from "../../training/settings.js";
import { trainFromRecipe } from "../../training/train.js";
import type { Lab } from "../lab.js";

/** Full fine-tuning, as `wgrad train` with a recipe of its own. */
export const lab: Lab = {
  name: "finetune",
  summary: "fine-tune every weight; evaluate and save each epoch, keep the best",
  settings: SETTINGS,
  examples: [
    ["wgrad lab finetune", "DistilBERT on Rotten Tomatoes, 3 epochs"],
    ["wgrad lab finetune --subset 64 --warmup-steps 0", "see quickly whether it runs"],
    ["wgrad lab finetune --model my-model --dataset my-data", "folders or hub ids"],
    ["wgrad lab finetune runs/finetune/recipe.yaml --resume", "go on after Ctrl-C"],
  ],
  async run({ settings, offline, resume, overwrite, ui, exit }) {
    const recipe = makeRecipe(settings);
    await guardOutputDir(recipe.args.outputDir, { resume: Boolean(resume), overwrite });
    const result = await trainFromRecipe(recipe, { lab: "finetune", resume, offline, force: false }, ui);
    if (result.interrupted) exit(EXIT.interrupted);
    return result;
  },
};
