/**
 * DistilBERT with Hugging Face's names and files, on `@wgrad/tensor`. Runs in browsers; what reads folders is in
 * `@wgrad/models/node`, tokenizers are in `@wgrad/models/tokenizer`.
 */
export { type DistilBertConfig, distilBertConfig, distilBertConfigJson } from "./distilbert/config.js";
export type { BaseModelOutput, DistilBertInput, ForwardOptions } from "./distilbert/encoder.js";
export {
  DistilBertForMaskedLM,
  DistilBertForSequenceClassification,
  type HeadInput,
  type HeadOutput,
} from "./distilbert/heads.js";
export { DistilBertModel, DistilBertPreTrainedModel } from "./distilbert/model.js";
export { ConfigError, FileError, HubError, ModelsError, TokenizerError, WeightsError } from "./errors.js";
export {
  type LoadingInfo,
  newlyInitializedWarning,
  PreTrainedModel,
  type WeightSource,
} from "./pretrained-model.js";
