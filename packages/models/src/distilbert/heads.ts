import {
  crossEntropy,
  type Device,
  Dropout,
  LayerNorm,
  Linear,
  type Module,
  type Parameter,
  scope,
  type Tensor,
} from "@wgrad/tensor";
import { classificationLoss, extras, type HeadOutput, linearThen } from "../transformer.js";
import type { DistilBertConfig } from "./config.js";
import type { DistilBertInput } from "./encoder.js";
import { DistilBertModel, DistilBertPreTrainedModel } from "./model.js";

/** Input of a model with a head. */
export interface HeadInput extends DistilBertInput {
  /** Classification: [B] i32, or [B, labels] f32 for several labels at once, or [B] f32 for regression. Masked LM: in the shape of `inputIds`, i32, -100 ignored. */
  labels?: Tensor | null;
}

/** [B, dim]: the hidden state of each row's first token, [CLS]. */
function firstTokens(hidden: Tensor, { cuSeqlens }: DistilBertInput): Tensor {
  return cuSeqlens ? hidden.indexSelect(0, cuSeqlens.narrow(0, 0, cuSeqlens.numel - 1)) : hidden.select(1, 0);
}

/**
 * DistilBERT with a classifier on the [CLS] position. Source: `transformers.DistilBertForSequenceClassification`.
 * DistilBERT-base with two labels has 66,955,010 parameters.
 */
export class DistilBertForSequenceClassification extends DistilBertPreTrainedModel {
  distilbert: DistilBertModel;
  /** [dim, dim], before the ReLU */
  pre_classifier: Linear;
  classifier: Linear;
  dropout: Dropout;

  constructor(device: Device, config: DistilBertConfig) {
    super(device, config);
    this.distilbert = new DistilBertModel(device, config);
    this.pre_classifier = new Linear(device, config.dim, config.dim);
    this.classifier = new Linear(device, config.dim, config.numLabels);
    this.dropout = new Dropout(config.seqClassifDropout);
  }

  /** @returns logits [B, labels] and, with labels, the loss: mean cross entropy (classes), BCE (several labels) or MSE (regression) */
  forward(input: HeadInput): HeadOutput {
    return scope(() => {
      const encoded = this.distilbert.forward(input);
      const pooled = linearThen(this.pre_classifier, firstTokens(encoded.lastHiddenState, input), "relu");
      const logits = this.classifier.forward(this.dropout.forward(pooled));
      const { labels } = input;
      return {
        ...(labels ? { loss: classificationLoss(logits, labels, this.config) } : {}),
        logits,
        ...extras(encoded),
      };
    });
  }

  protected override get baseModel(): Module {
    return this.distilbert;
  }
}

/** The output projection of the masked language model: its weight is the word embeddings' when they are tied. */
class VocabProjector extends Linear {
  tie(weight: Parameter): void {
    this.weight.dispose();
    this.weight = weight;
  }
}

/** DistilBERT with a masked-language-model head. Source: `transformers.DistilBertForMaskedLM`. */
export class DistilBertForMaskedLM extends DistilBertPreTrainedModel {
  distilbert: DistilBertModel;
  vocab_transform: Linear;
  vocab_layer_norm: LayerNorm;
  vocab_projector: VocabProjector;

  constructor(device: Device, config: DistilBertConfig) {
    super(device, config);
    this.distilbert = new DistilBertModel(device, config);
    this.vocab_transform = new Linear(device, config.dim, config.dim);
    this.vocab_layer_norm = new LayerNorm(device, config.dim, { eps: 1e-12 });
    this.vocab_projector = new VocabProjector(device, config.dim, config.vocabSize);
    if (config.tieWordEmbeddings) this.vocab_projector.tie(this.distilbert.embeddings.word_embeddings.weight);
  }

  /** @returns logits [B, T, vocabulary] ([T, vocabulary] with `cuSeqlens`) and, with labels, the mean cross entropy over labels that are not -100 */
  forward(input: HeadInput): HeadOutput {
    return scope(() => {
      const encoded = this.distilbert.forward(input);
      const activated = linearThen(this.vocab_transform, encoded.lastHiddenState, this.config.activation);
      const logits = this.vocab_projector.forward(this.vocab_layer_norm.forward(activated));
      const { labels } = input;
      const vocabulary = this.config.vocabSize;
      const loss = labels
        ? { loss: crossEntropy(logits.reshape([-1, vocabulary]), labels.reshape([-1])) }
        : {};
      return { ...loss, logits, ...extras(encoded) };
    });
  }

  /** Tied weights are stored once, under the embeddings' name. */
  override tiedKeys(): readonly string[] {
    return this.config.tieWordEmbeddings ? ["vocab_projector.weight"] : [];
  }

  protected override get baseModel(): Module {
    return this.distilbert;
  }
}
