import {
  type Device,
  formatShape,
  type Linear,
  noGrad,
  normalize,
  Parameter,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { ModelsError } from "../errors.js";
import type { CLIPConfig } from "./config.js";
import type { BaseModelOutputWithPooling } from "./encoder.js";
import { clipLoss } from "./loss.js";
import { CLIPPreTrainedModel } from "./pretrained.js";
import { type CLIPTextInput, CLIPTextModel, projection } from "./text.js";
import { type CLIPVisionInput, CLIPVisionModel } from "./vision.js";

/** Logits are never scaled by more than 100, as the paper says. */
const LARGEST_LOGIT_SCALE = Math.log(100);

/** Input of `CLIPModel`. */
export interface CLIPInput extends CLIPTextInput, CLIPVisionInput {
  /** Also return the contrastive loss; there are as many texts as pictures then. */
  returnLoss?: boolean;
}

/** Output of `CLIPModel`. Letters: I pictures, N texts, P width of the common space. */
export interface CLIPOutput {
  /** 0-d; present with `returnLoss`. */
  loss?: Tensor;
  /** [I, N], the cosine of each picture and each text, times exp(logit_scale). */
  logitsPerImage: Tensor;
  /** [N, I] */
  logitsPerText: Tensor;
  /** [N, P], of length 1 */
  textEmbeds: Tensor;
  /** [I, P], of length 1 */
  imageEmbeds: Tensor;
  textModelOutput: BaseModelOutputWithPooling;
  visionModelOutput: BaseModelOutputWithPooling;
}

/**
 * Text and vision tower with their projections to a common space. Source: Radford et al. 2021, "Learning Transferable Visual Models From
 * Natural Language Supervision"; `transformers.CLIPModel`. ViT-B/16 has 149,620,737 parameters.
 */
export class CLIPModel extends CLIPPreTrainedModel {
  text_model: CLIPTextModel;
  vision_model: CLIPVisionModel;
  visual_projection: Linear;
  text_projection: Linear;
  /** 0-d: logarithm of the factor of the cosines. */
  logit_scale: Parameter;

  constructor(device: Device, config: CLIPConfig) {
    super(device, config);
    const { textConfig, visionConfig, projectionDim, initializerFactor } = config;
    this.text_model = new CLIPTextModel(device, config);
    this.vision_model = new CLIPVisionModel(device, config);
    this.visual_projection = projection(device, visionConfig.hiddenSize, projectionDim, initializerFactor);
    this.text_projection = projection(device, textConfig.hiddenSize, projectionDim, initializerFactor);
    this.logit_scale = new Parameter(Tensor.full(device, [], config.logitScaleInitValue));
  }

  /** The start value of the logit scale. */
  initOwnWeights(): void {
    this.logit_scale.fill_(this.config.logitScaleInitValue);
  }

  /** Projected features of texts, [N, P]; not normalised. */
  getTextFeatures(input: CLIPTextInput): Tensor {
    return scope(() => this.text_projection.forward(this.text_model.forward(input).poolerOutput));
  }

  /** Projected features of pictures, [I, P]; not normalised. */
  getImageFeatures(input: CLIPVisionInput): Tensor {
    return scope(() => this.visual_projection.forward(this.vision_model.forward(input).poolerOutput));
  }

  /**
   * Holds `logit_scale` at ln(100) at most, in place: call it after an optimizer's step, as CLIP's own training does. Nothing of it is
   * in the forward pass, where transformers has nothing either.
   */
  clampLogitScale(): void {
    scope(() => noGrad(() => this.logit_scale.copy_(this.logit_scale.clamp(null, LARGEST_LOGIT_SCALE))));
  }

  /**
   * @throws ModelsError `E_PAIRS` with `returnLoss` if there are not as many texts as pictures, `E_TOO_LONG`, `E_IMAGE_SIZE`
   */
  forward(input: CLIPInput): CLIPOutput {
    const { inputIds, pixelValues, returnLoss = false } = input;
    if (returnLoss && inputIds.size(0) !== pixelValues.size(0)) {
      throw new ModelsError(
        "E_PAIRS",
        `the contrastive loss needs a text for each picture: inputIds is ${formatShape(inputIds.shape)}, pixelValues ${formatShape(pixelValues.shape)}.`,
      );
    }
    return scope(() => {
      const visionModelOutput = this.vision_model.forward(input);
      const textModelOutput = this.text_model.forward(input);
      const image = this.visual_projection.forward(visionModelOutput.poolerOutput);
      const text = this.text_projection.forward(textModelOutput.poolerOutput);
      const [imageEmbeds, textEmbeds] = [normalize(image, { dim: -1 }), normalize(text, { dim: -1 })];
      const logitsPerText = this.similarities(textEmbeds, imageEmbeds);
      const logitsPerImage = logitsPerText.transpose(0, 1);
      const loss = returnLoss ? { loss: clipLoss(logitsPerText) } : {};
      return {
        ...loss,
        logitsPerImage,
        logitsPerText,
        textEmbeds,
        imageEmbeds,
        textModelOutput,
        visionModelOutput,
      };
    });
  }

  /** Cosines times exp(logit_scale), [A, B], of embeddings of length 1: a [A, P], b [B, P]. */
  similarities(a: Tensor, b: Tensor): Tensor {
    return scope(() => a.matmul(b.transpose(0, 1)).mul(this.logit_scale.exp()));
  }
}
