import { clipTrainingLab } from "../../clip/training/lab.js";
import type { ClipLabKind } from "../../clip/training/settings.js";

/** A new classifier on the vision tower, and an adapter within it. */
export const KIND: ClipLabKind = { lab: "clip-lora-head", losses: ["head"], isAdapter: true };

export const lab = clipTrainingLab(KIND, {
  summary: "train a classifier on CLIP's vision tower, with a LoRA adapter in its queries and values",
  examples: [
    ["wgrad lab clip-lora-head", "r 8, alpha 16 on CLIP ViT-B/16 and Tiny ImageNet"],
    ["wgrad lab clip-lora-head --dataset my-pictures --subset 200", "folders of pictures, tried small"],
    ["wgrad lab clip-lora-head --random-resized-crop 0.8 --horizontal-flip 0.5", "with augmentation"],
  ],
});
