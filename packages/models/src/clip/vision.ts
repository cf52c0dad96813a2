import {
  Conv2d,
  cat,
  type Device,
  Embedding,
  formatShape,
  init,
  LayerNorm,
  type Linear,
  linear,
  Module,
  Parameter,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { ModelsError } from "../errors.js";
import { type BaseModelOutput, type ForwardOptions, firstRows } from "../transformer.js";
import { type CLIPConfig, type CLIPVisionConfig, clipVisionConfigJson } from "./config.js";
import { type BaseModelOutputWithPooling, CLIPEncoder } from "./encoder.js";
import { drawnWith } from "./init.js";
import { CLIPPreTrainedModel, type OwnWeights } from "./pretrained.js";
import { projection } from "./text.js";

/** Input of the vision tower. */
export interface CLIPVisionInput extends ForwardOptions {
  /** [B, channels, size, size] f32, normalised as `CLIPImageProcessor` does */
  pixelValues: Tensor;
}

class CLIPVisionEmbeddings extends Module implements OwnWeights {
  /** [D]: stands before the patches. */
  class_embedding: Parameter;
  patch_embedding: Conv2d;
  position_embedding: Embedding;
  readonly #config: CLIPVisionConfig;

  constructor(device: Device, config: CLIPVisionConfig) {
    super();
    this.#config = config;
    const { hiddenSize, numChannels, imageSize, patchSize } = config;
    const std = config.initializerRange * config.initializerFactor;
    this.class_embedding = new Parameter(Tensor.zeros(device, [hiddenSize]));
    this.patch_embedding = drawnWith(
      new Conv2d(device, numChannels, hiddenSize, patchSize, { stride: patchSize, bias: false }),
      std,
    );
    const positions = (imageSize / patchSize) ** 2 + 1;
    this.position_embedding = drawnWith(new Embedding(device, positions, hiddenSize), std);
  }

  initOwnWeights(): void {
    const { hiddenSize, initializerFactor } = this.#config;
    init.normal_(this.class_embedding, 0, hiddenSize ** -0.5 * initializerFactor);
  }

  /** @returns [B, patches + 1, D] */
  forward(pixelValues: Tensor): Tensor {
    return scope(() => {
      const patches = this.#patches(pixelValues);
      const [batch, count, width] = patches.shape as [number, number, number];
      const first = this.class_embedding.to(patches.dtype).expand([batch, 1, width]);
      const positions = firstRows(this.position_embedding, count + 1).to(patches.dtype);
      return cat([first, patches], 1).add(positions);
    });
  }

  /** [B, patches, D]: the convolution whose stride is its width, which is one product of matrices. */
  #patches(pixelValues: Tensor): Tensor {
    const { patch_embedding: layer } = this;
    const { patchSize: p, hiddenSize } = this.#config;
    // An adapter's layer is to be called and not read.
    if (layer.constructor !== Conv2d) return layer.forward(pixelValues).flatten(2).transpose(1, 2);
    const [batch, channels, height, width] = pixelValues.shape as [number, number, number, number];
    const [rows, columns] = [height / p, width / p];
    const patches = pixelValues
      .reshape([batch, channels, rows, p, columns, p])
      .permute([0, 2, 4, 1, 3, 5])
      .reshape([batch, rows * columns, channels * p * p]);
    return linear(patches, layer.weight.reshape([hiddenSize, channels * p * p]));
  }
}

/**
 * The vision tower of CLIP, a ViT with a normalisation before its first block. Source: Radford et al. 2021;
 * `transformers.CLIPVisionModel`.
 */
export class CLIPVisionModel extends CLIPPreTrainedModel {
  override readonly baseModelPrefix = "vision_model";
  embeddings: CLIPVisionEmbeddings;
  pre_layrnorm: LayerNorm;
  encoder: CLIPEncoder;
  post_layernorm: LayerNorm;

  constructor(device: Device, config: CLIPConfig) {
    super(device, config);
    const { visionConfig } = config;
    const norm = () => new LayerNorm(device, visionConfig.hiddenSize, { eps: visionConfig.layerNormEps });
    this.embeddings = new CLIPVisionEmbeddings(device, visionConfig);
    this.pre_layrnorm = norm();
    this.encoder = new CLIPEncoder(device, visionConfig);
    this.post_layernorm = norm();
  }

  /**
   * @returns `lastHiddenState` [B, patches + 1, D] before the last normalisation, the class token first; `poolerOutput` [B, D]: the
   *   class token, normalised
   * @throws ModelsError `E_IMAGE_SIZE` for pictures of another size than the model's
   */
  forward(input: CLIPVisionInput): BaseModelOutputWithPooling {
    const { pixelValues } = input;
    const { numChannels, imageSize } = this.config.visionConfig;
    const expected = [numChannels, imageSize, imageSize];
    if (pixelValues.rank !== 4 || pixelValues.shape.slice(1).join() !== expected.join()) {
      throw new ModelsError(
        "E_IMAGE_SIZE",
        `pixelValues is ${formatShape(pixelValues.shape)}, but this model takes [B, ${expected.join(", ")}]. ` +
          "Its own image processor makes such: AutoImageProcessor.fromPretrained(folder).",
      );
    }
    return scope(() => {
      const embedded = this.pre_layrnorm.forward(this.embeddings.forward(pixelValues));
      const encoded = this.encoder.forward(embedded, { mask: null }, input);
      const poolerOutput = this.post_layernorm.forward(encoded.lastHiddenState.select(1, 0));
      return { ...encoded, poolerOutput };
    });
  }

  override configJson(): Record<string, unknown> {
    return { ...clipVisionConfigJson(this.config), architectures: [this.constructor.name], dtype: "float32" };
  }
}

/** Output of a vision tower with its projection. */
export interface CLIPVisionModelOutput extends BaseModelOutput {
  /** [B, projection], not normalised */
  imageEmbeds: Tensor;
}

/** The vision tower with the projection to the common space. Source: `transformers.CLIPVisionModelWithProjection`. */
export class CLIPVisionModelWithProjection extends CLIPPreTrainedModel {
  vision_model: CLIPVisionModel;
  visual_projection: Linear;

  constructor(device: Device, config: CLIPConfig) {
    super(device, config);
    this.vision_model = new CLIPVisionModel(device, config);
    const { hiddenSize, projectionDim, initializerFactor } = config.visionConfig;
    this.visual_projection = projection(device, hiddenSize, projectionDim, initializerFactor);
  }

  forward(input: CLIPVisionInput): CLIPVisionModelOutput {
    return scope(() => {
      const { poolerOutput, ...output } = this.vision_model.forward(input);
      return { ...output, imageEmbeds: this.visual_projection.forward(poolerOutput) };
    });
  }

  override configJson(): Record<string, unknown> {
    return { ...this.vision_model.configJson(), architectures: [this.constructor.name] };
  }
}
