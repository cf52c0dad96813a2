/** The settings of any method. */
import { nearest } from "@wgrad/tensor";
import { PeftError } from "./errors.js";
import { type IA3Config, ia3Config, ia3ConfigFromJson, ia3ConfigToJson } from "./ia3/config.js";
import { type LoraConfig, loraConfig, loraConfigFromJson, loraConfigToJson } from "./lora/config.js";
import {
  type PromptTuningConfig,
  promptTuningConfig,
  promptTuningConfigFromJson,
  promptTuningConfigToJson,
} from "./prompt-tuning/config.js";

/** Settings of an adapter, told apart by `peftType`. */
export type PeftConfig = LoraConfig | IA3Config | PromptTuningConfig;

/** The methods. */
export type PeftType = PeftConfig["peftType"];

/** Settings as they are given: what is left out has PEFT's default, and without `peftType` they are LoRA's. */
export type PeftConfigInput =
  | Partial<LoraConfig>
  | (Partial<IA3Config> & { peftType: "IA3" })
  | (Partial<PromptTuningConfig> & { peftType: "PROMPT_TUNING" });

const TYPES: readonly PeftType[] = ["LORA", "IA3", "PROMPT_TUNING"];

/** Methods of PEFT that one may ask for, with what to use in their place. */
const INSTEAD: Readonly<Record<string, string>> = {
  PREFIX_TUNING:
    "prefix tuning hands the model past keys and values, which encoders such as DistilBERT do not take (Python's peft refuses them too); PROMPT_TUNING trains vectors before the input",
  P_TUNING: "its prompt encoder is not here; PROMPT_TUNING trains the vectors themselves",
  ADALORA: "its ranks change during training; LORA with rank_pattern has fixed ones",
};

function unsupported(type: unknown, where: string): PeftError {
  const instead = INSTEAD[String(type)];
  const near = typeof type === "string" && !instead ? nearest(type.toUpperCase(), [...TYPES]) : undefined;
  return new PeftError(
    "E_CONFIG_UNSUPPORTED",
    `${where}peft_type is ${JSON.stringify(type ?? null)}; this version knows ${TYPES.join(", ")}` +
      `${instead ? `: ${instead}` : near ? `. Did you mean ${near}?` : ""}${instead ? "." : ""}`,
  );
}

/**
 * Fills in PEFT's defaults and checks every setting. The result is frozen.
 * @throws PeftError as `loraConfig`; `E_CONFIG_UNSUPPORTED` for a method that is not here
 */
export function peftConfig(given: PeftConfigInput): Readonly<PeftConfig> {
  const { peftType = "LORA" } = given;
  if (peftType === "LORA") return loraConfig(given as Partial<LoraConfig>);
  if (peftType === "IA3") return ia3Config(given as Partial<IA3Config>);
  if (peftType === "PROMPT_TUNING") return promptTuningConfig(given as Partial<PromptTuningConfig>);
  throw unsupported(peftType, "");
}

/**
 * Reads the settings of an adapter as PEFT writes them (`adapter_config.json`), of any method that is known here. Settings that
 * are left out have PEFT's defaults.
 * @param file for messages
 * @throws PeftError `E_CONFIG_UNSUPPORTED` for a method, or a setting that would change the result, that is not known here;
 *   otherwise as `loraConfig`. Each names the file.
 */
export function peftConfigFromJson(
  json: Readonly<Record<string, unknown>>,
  file = "adapter_config.json",
): Readonly<PeftConfig> {
  const type = json.peft_type;
  if (type === "LORA") return loraConfigFromJson(json, file);
  if (type === "IA3") return ia3ConfigFromJson(json, file);
  if (type === "PROMPT_TUNING") return promptTuningConfigFromJson(json, file);
  throw unsupported(type, `${file}: `);
}

/** The settings as PEFT writes them in `adapter_config.json`. */
export function peftConfigToJson(config: PeftConfig): Record<string, unknown> {
  if (config.peftType === "LORA") return loraConfigToJson(config);
  if (config.peftType === "IA3") return ia3ConfigToJson(config);
  return promptTuningConfigToJson(config);
}
