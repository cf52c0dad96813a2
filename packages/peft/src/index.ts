/**
 * Adapters for the models of `@wgrad/models`, with PEFT's names: LoRA, DoRA, (IA)³, prompt tuning. Runs in browsers; what reads
 * folders is in `@wgrad/peft/node`.
 */
export type { ModuleDict, ParameterDict } from "./adapter-dict.js";
export { AdapterLayer } from "./adapter-layer.js";
export type { CommonConfig, TargetConfig, TaskType } from "./config.js";
export { PeftError } from "./errors.js";
export { type IA3Config, ia3Config } from "./ia3/config.js";
export { IA3Layer } from "./ia3/layer.js";
export {
  type LoraConfig,
  loraConfig,
  loraConfigFromJson,
  loraConfigToJson,
} from "./lora/config.js";
export { LoraConv2d } from "./lora/conv2d.js";
export { LoraEmbedding } from "./lora/embedding.js";
export type { AnyLoraLayer } from "./lora/index.js";
export { type DoraMagnitude, LoraLayer, type LoraLayerOptions } from "./lora/layer.js";
export { LoraLinear } from "./lora/linear.js";
export { LoraPairLayer } from "./lora/pair-layer.js";
export {
  type PeftConfig,
  type PeftConfigInput,
  type PeftType,
  peftConfig,
  peftConfigFromJson,
  peftConfigToJson,
} from "./peft-config.js";
export {
  type AdaptableModel,
  DEFAULT_ADAPTER,
  getPeftModel,
  type ParameterCounts,
  PeftModel,
  peftModelFromConfig,
  type Tuner,
  type WeightedAdapterOptions,
} from "./peft-model.js";
export { type PromptTuningConfig, promptTuningConfig } from "./prompt-tuning/config.js";
export { PromptEmbedding, type PromptEncoder } from "./prompt-tuning/layer.js";
