/** LoRA for the models of `@wgrad/models`, with PEFT's names. Runs in browsers; what reads folders is in `@wgrad/peft/node`. */
export {
  type LoraConfig,
  loraConfig,
  loraConfigFromJson,
  loraConfigToJson,
  type TaskType,
} from "./config.js";
export { PeftError } from "./errors.js";
export { LoraLinear, type LoraLinearOptions } from "./lora-linear.js";
export {
  type AdaptableModel,
  getPeftModel,
  type ParameterCounts,
  PeftModel,
  peftModelFromConfig,
} from "./peft-model.js";
