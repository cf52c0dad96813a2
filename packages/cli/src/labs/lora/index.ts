import { UsageError } from "../../errors.js";
import { SETTINGS } from "../../training/settings.js";
import type { Lab } from "../lab.js";
import { runTrainingLab } from "../training-lab.js";

/** Fine-tuning of an adapter, the model below it frozen. */
export const lab: Lab = {
  name: "lora",
  summary: "fine-tune a LoRA adapter, the model below it frozen",
  settings: SETTINGS,
  examples: [
    ["wgrad lab lora", "r 16, alpha 32 on q_lin and v_lin of DistilBERT, Rotten Tomatoes"],
    ["wgrad lab lora-r8-fp16", "r 8, alpha 16, in half precision"],
    ["wgrad lab lora --lora-r 4 --lora-target-modules all-linear", "another adapter"],
    ["wgrad lab lora --model my-model --dataset my-data --subset 64", "try it on your own"],
    ["wgrad eval --model runs/lora --dataset my-data", "an adapter's folder goes wherever a model's does"],
  ],
  async run(context) {
    const isAdapter = ({ name, group }: (typeof SETTINGS)[number]) =>
      group === "LoRA:" && name in context.settings;
    if (!SETTINGS.some(isAdapter)) {
      throw new UsageError(
        "the recipe has no adapter: it needs a mapping peft, such as { r: 16, lora_alpha: 32 }. To train every weight: wgrad lab finetune",
      );
    }
    return runTrainingLab("lora", context);
  },
};
