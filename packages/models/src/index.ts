/**
 * DistilBERT and CLIP with Hugging Face's names and files, on `@wgrad/tensor`. Runs in browsers; what reads folders is in
 * `@wgrad/models/node`, tokenizers are in `@wgrad/models/tokenizer`.
 */
export {
  type CLIPClassificationInput,
  CLIPForClassification,
  CLIPForImageClassification,
} from "./clip/classification.js";
export {
  type CLIPConfig,
  type CLIPTextConfig,
  type CLIPTowerConfig,
  type CLIPVisionConfig,
  clipConfig,
} from "./clip/config.js";
export type { BaseModelOutputWithPooling } from "./clip/encoder.js";
export { clipLoss } from "./clip/loss.js";
export { type CLIPInput, CLIPModel, type CLIPOutput } from "./clip/model.js";
export { CLIPPreTrainedModel } from "./clip/pretrained.js";
export { CLIPProcessor, type CLIPProcessorInput, type CLIPProcessorOutput } from "./clip/processor.js";
export {
  type CLIPTextInput,
  CLIPTextModel,
  type CLIPTextModelOutput,
  CLIPTextModelWithProjection,
} from "./clip/text.js";
export {
  type CLIPVisionInput,
  CLIPVisionModel,
  type CLIPVisionModelOutput,
  CLIPVisionModelWithProjection,
} from "./clip/vision.js";
export { type DistilBertConfig, distilBertConfig, distilBertConfigJson } from "./distilbert/config.js";
export type { DistilBertInput } from "./distilbert/encoder.js";
export {
  DistilBertForMaskedLM,
  DistilBertForSequenceClassification,
  type HeadInput,
} from "./distilbert/heads.js";
export { DistilBertModel, DistilBertPreTrainedModel } from "./distilbert/model.js";
export {
  ConfigError,
  FileError,
  HubError,
  ImageProcessorError,
  ModelsError,
  TokenizerError,
  WeightsError,
} from "./errors.js";
export {
  CLIPImageProcessor,
  type CLIPImageProcessorOptions,
  type ImageSize,
  type PixelValues,
} from "./image-processor/clip.js";
export {
  type LoadingInfo,
  newlyInitializedWarning,
  PreTrainedModel,
  type WeightSource,
} from "./pretrained-model.js";
export type { BaseModelOutput, ForwardOptions, HeadOutput, ProblemType } from "./transformer.js";
