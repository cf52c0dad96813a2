import { clipTrainingLab } from "../../clip/training/lab.js";
import type { ClipLabKind } from "../../clip/training/settings.js";

/** Every weight of a CLIP. */
export const KIND: ClipLabKind = {
  lab: "clip-full",
  losses: ["contrastive", "prompts", "head"],
  isAdapter: false,
};

export const lab = clipTrainingLab(KIND, {
  summary: "train every weight of a CLIP, or of its vision tower with a classifier; also from random weights",
  examples: [
    ["wgrad lab clip-full --model my-clip", "go on training a small CLIP"],
    ["wgrad lab clip-full --loss head --learning-rate 1e-5", "a classifier, and the tower below it"],
    [
      "wgrad lab clip-full --from-scratch --model my-clip --num-train-epochs 20",
      "new weights for its config.json",
    ],
    [
      'wgrad lab clip-full --from-scratch --config \'{"vision_config":{"num_hidden_layers":4}}\'',
      "a smaller tower",
    ],
  ],
});
