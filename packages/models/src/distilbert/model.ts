import {
  type Device,
  Embedding,
  init,
  LayerNorm,
  Linear,
  type Module,
  noGrad,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { PreTrainedModel } from "../pretrained-model.js";
import type { BaseModelOutput } from "../transformer.js";
import { type DistilBertConfig, distilBertConfigJson } from "./config.js";
import { type DistilBertInput, Embeddings, rowsOf, Transformer } from "./encoder.js";

/** Sets one row of a table to 0, in place. */
function zeroRow(weight: Tensor, row: number): void {
  const keep = new Float32Array(weight.size(0)).fill(1);
  keep[row] = 0;
  scope(() => weight.copy_(noGrad(() => weight.mul(Tensor.from(weight.device, keep, [weight.size(0), 1])))));
}

/** Fixed position vectors: sin in even columns, cos in odd ones. Source: Vaswani et al. 2017. */
function sinusoidalPositions(positions: number, dim: number): Float32Array {
  const out = new Float32Array(positions * dim);
  for (let p = 0; p < positions; p++) {
    for (let j = 0; j < dim; j++) {
      const angle = p / 10000 ** ((2 * Math.floor(j / 2)) / dim);
      out[p * dim + j] = j % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }
  }
  return out;
}

/** Base of the DistilBERT models: config, and how new weights are drawn. */
export abstract class DistilBertPreTrainedModel extends PreTrainedModel {
  override readonly baseModelPrefix = "distilbert";
  override readonly transformersModule = "transformers.models.distilbert.modeling_distilbert";
  readonly config: DistilBertConfig;

  constructor(device: Device, config: DistilBertConfig) {
    super(device);
    this.config = config;
  }

  override configJson(): Record<string, unknown> {
    return distilBertConfigJson(this.config, this.constructor.name);
  }

  /** Weights N(0, initializerRange), biases 0, LayerNorm 1 and 0, the padding row 0: `_init_weights` of Hugging Face. */
  override initWeights(module: Module): void {
    if (module instanceof Linear) {
      init.normal_(module.weight, 0, this.config.initializerRange);
      module.bias?.zero_();
    } else if (module instanceof Embedding) {
      init.normal_(module.weight, 0, this.config.initializerRange);
      if (module.paddingIdx !== null) zeroRow(module.weight, module.paddingIdx);
    } else if (module instanceof Embeddings && this.config.sinusoidalPosEmbds) {
      module.position_embeddings.weight.copy_(
        sinusoidalPositions(this.config.maxPositionEmbeddings, this.config.dim),
      );
    } else if (module instanceof LayerNorm) {
      module.weight.fill_(1);
      module.bias.zero_();
    }
  }
}

/**
 * The DistilBERT encoder. Source: Sanh et al. 2019; `transformers.DistilBertModel`.
 * DistilBERT-base has 66,362,880 parameters.
 */
export class DistilBertModel extends DistilBertPreTrainedModel {
  embeddings: Embeddings;
  transformer: Transformer;

  constructor(device: Device, config: DistilBertConfig) {
    super(device, config);
    this.embeddings = new Embeddings(device, config);
    this.transformer = new Transformer(device, config);
  }

  /**
   * Rows padded to one length, or one behind the other with `cuSeqlens`: the same outputs for every token of a row.
   * @throws ModelsError `E_TOO_LONG` if T is over the model's positions, `E_PACKED` if the parts of the input do not fit together
   */
  forward(input: DistilBertInput): BaseModelOutput {
    return scope(() => {
      const rows = rowsOf(input, this.config.maxPositionEmbeddings);
      return this.transformer.forward(this.embeddings.forward(input), rows, input);
    });
  }

  protected override get baseModel(): Module {
    return this;
  }
}
