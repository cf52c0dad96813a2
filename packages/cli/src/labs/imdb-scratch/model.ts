import type { DistilBertInput, DistilBertModel } from "@wgrad/models";
import { Dropout, Linear, Module, scope, type Tensor } from "@wgrad/tensor";

/**
 * A classifier of one's own on DistilBERT: the hidden state of [CLS], dropout, and one number for two classes. What a module
 * has as fields are its parts: they are found, counted, trained and saved by these names.
 */
export class SentimentClassifier extends Module {
  distilbert: DistilBertModel;
  dropout: Dropout;
  /** weight [1, dim] */
  classifier: Linear;

  /** @param options.dropout share of the hidden state that is left out in training; default 0.3 */
  constructor(distilbert: DistilBertModel, options: { dropout?: number } = {}) {
    super();
    this.distilbert = distilbert;
    this.dropout = new Dropout(options.dropout ?? 0.3);
    this.classifier = new Linear(distilbert.device, distilbert.config.dim, 1);
  }

  /**
   * @param input B texts one behind the other: text i is the tokens from `cuSeqlens[i]` to before `cuSeqlens[i + 1]`
   * @returns [B] logits: over 0 is the second class, sigmoid gives its probability
   */
  forward(input: DistilBertInput & { cuSeqlens: Tensor }): Tensor {
    return scope(() => {
      const { lastHiddenState } = this.distilbert.forward(input);
      const firstTokens = input.cuSeqlens.narrow(0, 0, input.cuSeqlens.numel - 1);
      const cls = lastHiddenState.indexSelect(0, firstTokens);
      return this.classifier.forward(this.dropout.forward(cls)).reshape([-1]);
    });
  }
}
