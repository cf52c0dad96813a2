import { clipTrainingLab } from "../../clip/training/lab.js";
import type { ClipLabKind } from "../../clip/training/settings.js";

/** An adapter in both towers, trained by pictures and the prompts of their classes. */
export const KIND: ClipLabKind = {
  lab: "clip-lora-contrastive",
  losses: ["contrastive", "prompts"],
  isAdapter: true,
};

export const lab = clipTrainingLab(KIND, {
  summary: "train a LoRA adapter in both towers of CLIP, by pictures and the prompts of their classes",
  examples: [
    ["wgrad lab clip-lora-contrastive", "r 8, alpha 16, contrastive within the batch"],
    ["wgrad lab clip-lora-contrastive --lora-r 16 --lora-alpha 32", "a wider adapter"],
    ["wgrad lab clip-lora-contrastive --loss prompts", "cross entropy over the prompts of all classes"],
    ['wgrad lab clip-lora-contrastive --template "a blurry photo of a {}."', "another text of a picture"],
    ["wgrad lab clip-lora-contrastive --dataset my-pictures --subset 200", "your own, tried small"],
  ],
});
