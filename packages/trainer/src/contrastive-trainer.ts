/** Training of CLIP: the loss of pictures and texts, and what belongs to it. */
import { CLIPModel, type CLIPOutput, clipLoss } from "@wgrad/models";
import { PeftModel } from "@wgrad/peft";
import { crossEntropy, scope, type Tensor } from "@wgrad/tensor";
import { TrainerError } from "./errors.js";
import type { ModelInputs } from "./model-inputs.js";
import type { TrainerOptimizer } from "./optimizers.js";
import { Trainer } from "./trainer.js";

/**
 * Trains a `CLIPModel`, or one with an adapter in it, on batches of `pixelValues`, `inputIds` and `labels`. What the labels are says which
 * loss it is:
 *
 * - As many labels as pictures, and the texts are those of all classes (`dataCollatorForClassPrompts`): the cross entropy of each picture
 *   over all texts. Logits are `logitsPerImage`, so that accuracy is that of zero-shot classification.
 * - The texts of the batch, one for each picture (`dataCollatorForImageText`, which says so by the input `pairs`): the contrastive loss
 *   of CLIP, {@link contrastiveLoss}.
 *
 * After each update `logit_scale` is held at ln(100) at most, within the step that is recorded.
 */
export class ContrastiveTrainer extends Trainer {
  override computeLoss(inputs: ModelInputs): { loss: Tensor; logits: Tensor | null } {
    const { labels, pairs, ...given } = inputs;
    const { logitsPerImage, logitsPerText } = this.model.forward(
      given as ModelInputs,
    ) as unknown as CLIPOutput;
    if (pairs) return { loss: contrastiveLoss(logitsPerText, pairs), logits: logitsPerImage };
    if (!labels) {
      throw new TrainerError(
        "E_DATA",
        "the batch has no labels: a contrastive loss needs to know which text belongs to which picture. See dataCollatorForImageText and dataCollatorForClassPrompts.",
      );
    }
    const labelSmoothing = this.args.labelSmoothingFactor;
    return { loss: crossEntropy(logitsPerImage, labels, { labelSmoothing }), logits: logitsPerImage };
  }

  /** The arguments' optimizer, which also holds the logit scale after each of its steps. */
  override createOptimizer(): TrainerOptimizer {
    const optimizer = super.createOptimizer();
    const model: unknown = this.model instanceof PeftModel ? this.model.getBaseModel() : this.model;
    if (!(model instanceof CLIPModel) || !model.logit_scale.requiresGrad) return optimizer;
    const update = optimizer.step.bind(optimizer);
    optimizer.step = (options) => {
      update(options);
      model.clampLogitScale();
    };
    return optimizer;
  }
}

/**
 * The contrastive loss of CLIP where some texts of a batch are alike: those pictures and texts that share an id belong together, and none of
 * them counts as a wrong answer to another. The target of a picture is spread evenly over its texts, and the other way round; with all ids
 * different it is {@link clipLoss}. Source: Khosla et al. 2020, "Supervised Contrastive Learning"; Yang et al. 2022, "Unified Contrastive
 * Learning in Image-Text-Label Space" (UniCL).
 * @param logitsPerText [B, B] f32; text i belongs to picture i
 * @param ids [B] i32: the same for pairs of one class; -100 for a pair that is left out, as row and as column
 * @returns 0-d
 */
export function contrastiveLoss(logitsPerText: Tensor, ids: Tensor): Tensor {
  return scope(() => {
    const logits = logitsPerText.to("f32");
    const counts = ids.ne(-100).to("f32");
    const alike = ids.unsqueeze(1).eq(ids.unsqueeze(0)).to("f32");
    const pairs = alike.mul(counts.unsqueeze(0)).mul(counts.unsqueeze(1));
    // The same in both directions: pairs is symmetric.
    const targets = pairs.div(pairs.sum(1, true).clamp(1, null));
    const hidden = counts.sub(1).mul(1e9).unsqueeze(0);
    const texts = crossEntropy(logits.add(hidden), targets, { reduction: "sum" });
    const pictures = crossEntropy(logits.transpose(0, 1).add(hidden), targets, { reduction: "sum" });
    return texts.add(pictures).div(counts.sum().mul(2).clamp(1, null));
  });
}
