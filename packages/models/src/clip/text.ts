import { type Device, Embedding, LayerNorm, Linear, Module, scope, Tensor } from "@wgrad/tensor";
import { ModelsError } from "../errors.js";
import { type BaseModelOutput, type ForwardOptions, firstRows } from "../transformer.js";
import { type CLIPConfig, type CLIPTextConfig, clipTextConfigJson } from "./config.js";
import { type BaseModelOutputWithPooling, CLIPEncoder } from "./encoder.js";
import { drawnWith } from "./init.js";
import { CLIPPreTrainedModel } from "./pretrained.js";

/** Input of the text tower. Letters: B texts, T tokens of the longest. */
export interface CLIPTextInput extends ForwardOptions {
  /** [B, T] i32 */
  inputIds: Tensor;
  /**
   * [B, T] i32 or bool: 0 where a position is padding. Padding behind the end of a text changes nothing of what is pooled, for no
   * token attends to those after it: it may be left out.
   */
  attentionMask?: Tensor | null;
}

class CLIPTextEmbeddings extends Module {
  token_embedding: Embedding;
  position_embedding: Embedding;

  constructor(device: Device, config: CLIPTextConfig) {
    super();
    const std = config.initializerFactor * 0.02;
    const table = (rows: number) => drawnWith(new Embedding(device, rows, config.hiddenSize), std);
    this.token_embedding = table(config.vocabSize);
    this.position_embedding = table(config.maxPositionEmbeddings);
  }

  forward(inputIds: Tensor): Tensor {
    return scope(() => {
      const words = this.token_embedding.forward(inputIds);
      return words.add(firstRows(this.position_embedding, inputIds.size(1)).to(words.dtype));
    });
  }
}

/** Where the end of each text stands, [B] i32. */
function endOfText(inputIds: Tensor, eosTokenId: number): Tensor {
  // Configs from before transformers 4.31 say 2, whatever the token is: there the end of the text is the highest id.
  return eosTokenId === 2 ? inputIds.argmax(-1) : inputIds.eq(eosTokenId).to("i32").argmax(-1);
}

/**
 * The text tower of CLIP: causal attention, pooled at the end of the text. Source: Radford et al. 2021; `transformers.CLIPTextModel`.
 */
export class CLIPTextModel extends CLIPPreTrainedModel {
  override readonly baseModelPrefix = "text_model";
  embeddings: CLIPTextEmbeddings;
  encoder: CLIPEncoder;
  final_layer_norm: LayerNorm;

  constructor(device: Device, config: CLIPConfig) {
    super(device, config);
    const { textConfig } = config;
    this.embeddings = new CLIPTextEmbeddings(device, textConfig);
    this.encoder = new CLIPEncoder(device, textConfig);
    this.final_layer_norm = new LayerNorm(device, textConfig.hiddenSize, { eps: textConfig.layerNormEps });
  }

  /**
   * @returns `lastHiddenState` [B, T, D] after the last normalisation, `poolerOutput` [B, D]: its row at the end of each text
   * @throws ModelsError `E_TOO_LONG` if T is over the model's positions
   */
  forward(input: CLIPTextInput): BaseModelOutputWithPooling {
    const { inputIds, attentionMask } = input;
    const { maxPositionEmbeddings, eosTokenId } = this.config.textConfig;
    const [batch, length] = inputIds.shape as [number, number];
    if (length > maxPositionEmbeddings) {
      throw new ModelsError(
        "E_TOO_LONG",
        `a text of ${length} tokens is longer than the ${maxPositionEmbeddings} positions of this model. ` +
          `Tokenize with truncation: true and maxLength: ${maxPositionEmbeddings} or less.`,
      );
    }
    return scope(() => {
      const mask = attentionMask ? attentionMask.to("bool").reshape([batch, 1, 1, length]) : null;
      const embedded = this.embeddings.forward(inputIds);
      const encoded = this.encoder.forward(embedded, { mask, isCausal: true }, input);
      const lastHiddenState = this.final_layer_norm.forward(encoded.lastHiddenState);
      const starts = Tensor.full(this.device, [batch], 1, { dtype: "i32" }).cumsum(0).sub(1).mul(length);
      const ends = endOfText(inputIds, eosTokenId).add(starts);
      const poolerOutput = lastHiddenState.reshape([batch * length, -1]).indexSelect(0, ends);
      return { ...encoded, lastHiddenState, poolerOutput };
    });
  }

  override configJson(): Record<string, unknown> {
    return { ...clipTextConfigJson(this.config), architectures: [this.constructor.name], dtype: "float32" };
  }
}

/** Output of a text tower with its projection. */
export interface CLIPTextModelOutput extends BaseModelOutput {
  /** [B, projection], not normalised */
  textEmbeds: Tensor;
}

/** The text tower with the projection to the common space. Source: `transformers.CLIPTextModelWithProjection`. */
export class CLIPTextModelWithProjection extends CLIPPreTrainedModel {
  text_model: CLIPTextModel;
  text_projection: Linear;

  constructor(device: Device, config: CLIPConfig) {
    super(device, config);
    this.text_model = new CLIPTextModel(device, config);
    const { hiddenSize, projectionDim, initializerFactor } = config.textConfig;
    this.text_projection = projection(device, hiddenSize, projectionDim, initializerFactor);
  }

  forward(input: CLIPTextInput): CLIPTextModelOutput {
    return scope(() => {
      const { poolerOutput, ...output } = this.text_model.forward(input);
      return { ...output, textEmbeds: this.text_projection.forward(poolerOutput) };
    });
  }

  override configJson(): Record<string, unknown> {
    return { ...this.text_model.configJson(), architectures: [this.constructor.name] };
  }
}

/** The linear map, without a bias, from a tower's pooled output to the common space. */
export function projection(device: Device, width: number, projectionDim: number, factor: number): Linear {
  return drawnWith(new Linear(device, width, projectionDim, { bias: false }), width ** -0.5 * factor);
}
