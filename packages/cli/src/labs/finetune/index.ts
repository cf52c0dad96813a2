import { FULL_SETTINGS } from "../../training/settings.js";
import type { Lab } from "../lab.js";
import { runTrainingLab } from "../training-lab.js";

/** Full fine-tuning, as `wgrad train` with a recipe of its own. */
export const lab: Lab = {
  name: "finetune",
  summary: "fine-tune every weight; evaluate and save each epoch, keep the best",
  settings: FULL_SETTINGS,
  examples: [
    ["wgrad lab finetune", "DistilBERT on Rotten Tomatoes, 3 epochs"],
    ["wgrad lab finetune --subset 64 --warmup-steps 0", "see quickly whether it runs"],
    ["wgrad lab finetune --model my-model --dataset my-data", "folders or hub ids"],
    ["wgrad lab finetune runs/finetune/recipe.yaml --resume", "go on after Ctrl-C"],
  ],
  run: (context) => runTrainingLab("finetune", context),
};
