import { type Device, Linear, scope, type Tensor } from "@wgrad/tensor";
import { classificationLoss, extras, type HeadOutput } from "../transformer.js";
import { type CLIPConfig, clipConfigJson } from "./config.js";
import { drawnWith } from "./init.js";
import { CLIPPreTrainedModel } from "./pretrained.js";
import { type CLIPVisionInput, CLIPVisionModel } from "./vision.js";

/** Input of a vision tower with a classifier. */
export interface CLIPClassificationInput extends CLIPVisionInput {
  /** [B] i32 classes; [B, labels] f32 for several at once; [B] f32 for regression. */
  labels?: Tensor | null;
}

abstract class CLIPClassifier extends CLIPPreTrainedModel {
  vision_model: CLIPVisionModel;
  classifier: Linear;

  constructor(device: Device, config: CLIPConfig) {
    super(device, config);
    const { hiddenSize } = config.visionConfig;
    this.vision_model = new CLIPVisionModel(device, config);
    this.classifier = drawnWith(
      new Linear(device, hiddenSize, config.numLabels),
      hiddenSize ** -0.5 * config.initializerFactor,
    );
  }

  /** [B, D], which the classifier sees. */
  protected abstract pool(output: ReturnType<CLIPVisionModel["forward"]>): Tensor;

  /** @returns logits [B, labels] and, with labels, the loss: see `classificationLoss` */
  forward(input: CLIPClassificationInput): HeadOutput {
    return scope(() => {
      const encoded = this.vision_model.forward(input);
      const logits = this.classifier.forward(this.pool(encoded));
      const { labels } = input;
      const loss = labels ? { loss: classificationLoss(logits, labels, this.config) } : {};
      return { ...loss, logits, ...extras(encoded) };
    });
  }

  override configJson(): Record<string, unknown> {
    return clipConfigJson(this.config, this.constructor.name, true);
  }
}

/**
 * The vision tower with a classifier on the mean of its patches, before the last normalisation and without the class token. Source:
 * `transformers.CLIPForImageClassification`.
 */
export class CLIPForImageClassification extends CLIPClassifier {
  protected override pool({ lastHiddenState }: { lastHiddenState: Tensor }): Tensor {
    return lastHiddenState.narrow(1, 1, lastHiddenState.size(1) - 1).mean(1);
  }
}

/**
 * The vision tower with a classifier on its pooled output, the normalised class token, as it is written by hand on top of
 * `transformers.CLIPVisionModel`; a linear probe of the same features is the same model with a frozen tower. No class of transformers:
 * its file loads in Python as a `CLIPVisionModel`, with a `torch.nn.Linear` for `classifier`.
 */
export class CLIPForClassification extends CLIPClassifier {
  override readonly transformersModule = null;

  protected override pool({ poolerOutput }: { poolerOutput: Tensor }): Tensor {
    return poolerOutput;
  }
}
