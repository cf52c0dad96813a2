/** `PromptTuningConfig`: the settings of prompt tuning. */
import {
  COMMON_DEFAULTS,
  type CommonConfig,
  type ConfigKind,
  configFromJson,
  configToJson,
  isCount,
  makeConfig,
} from "../config.js";

/** Settings of prompt tuning: names and defaults of `peft.PromptTuningConfig` in camelCase. Plain JSON. */
export interface PromptTuningConfig extends CommonConfig {
  peftType: "PROMPT_TUNING";
  /** Trained vectors before the embeddings of each row. null is refused by `getPeftModel`. */
  numVirtualTokens: number | null;
  /** Start of the vectors: normal with deviation 1, or the embeddings of tokens drawn from the vocabulary. Default `"RANDOM"`. */
  promptTuningInit: "RANDOM" | "SAMPLE_VOCAB";
  /** Width of the embeddings. Default null: the model's. It is in the file because Python's peft asks for it. */
  tokenDim: number | null;
  /** Layers of the model, as `tokenDim`. */
  numLayers: number | null;
  /** Heads of the model, as `tokenDim`. */
  numAttentionHeads: number | null;
  /** 1 here: models with an encoder alone. */
  numTransformerSubmodules: number | null;
}

/** What there is to know about its settings. */
export const PROMPT_TUNING_KIND: ConfigKind<PromptTuningConfig> = {
  name: "PromptTuningConfig",
  defaults: {
    peftType: "PROMPT_TUNING",
    ...COMMON_DEFAULTS,
    numVirtualTokens: null,
    promptTuningInit: "RANDOM",
    tokenDim: null,
    numLayers: null,
    numAttentionHeads: null,
    numTransformerSubmodules: null,
  },
  idle: {},
  check(config, refuse) {
    if (!["RANDOM", "SAMPLE_VOCAB"].includes(config.promptTuningInit))
      refuse("promptTuningInit", '"RANDOM" or "SAMPLE_VOCAB"');
    for (const key of ["numVirtualTokens", "tokenDim", "numLayers", "numAttentionHeads"] as const)
      if (config[key] !== null && !isCount(config[key])) refuse(key, "null or a whole number from 1 on");
    const submodules = config.numTransformerSubmodules;
    if (submodules !== null && submodules !== 1) refuse("numTransformerSubmodules", "null or 1");
  },
};

/**
 * Fills in PEFT's defaults and checks every setting. The result is frozen.
 * @throws PeftError `E_CONFIG_UNKNOWN` with the nearest known name, `E_CONFIG_VALUE` for a value out of range
 */
export function promptTuningConfig(given: Partial<PromptTuningConfig> = {}): Readonly<PromptTuningConfig> {
  return makeConfig(PROMPT_TUNING_KIND, given);
}

/** @param file for messages. See `peftConfigFromJson`. */
export function promptTuningConfigFromJson(
  json: Readonly<Record<string, unknown>>,
  file: string,
): Readonly<PromptTuningConfig> {
  // The text and its tokenizer are of the start, which a stored prompt has behind it.
  const {
    prompt_tuning_init: start,
    prompt_tuning_init_text,
    tokenizer_name_or_path,
    tokenizer_kwargs,
    ...rest
  } = json;
  return configFromJson(
    PROMPT_TUNING_KIND,
    { ...rest, prompt_tuning_init: start === "TEXT" ? "RANDOM" : start },
    file,
  );
}

/** The settings as PEFT writes them. */
export function promptTuningConfigToJson(config: PromptTuningConfig): Record<string, unknown> {
  return configToJson(config, {
    prompt_tuning_init_text: null,
    tokenizer_kwargs: null,
    tokenizer_name_or_path: null,
  });
}
