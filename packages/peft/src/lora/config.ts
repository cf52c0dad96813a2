/** `LoraConfig`: the settings of LoRA and DoRA. */
import {
  type ConfigKind,
  checkExpression,
  checkNamesOrExpression,
  configFromJson,
  configToJson,
  isCount,
  isNames,
  isNumber,
  makeConfig,
  TARGET_DEFAULTS,
  type TargetConfig,
} from "../config.js";
import { PeftError } from "../errors.js";

/** Settings of LoRA: names and defaults of `peft.LoraConfig` in camelCase. Plain JSON. */
export interface LoraConfig extends TargetConfig {
  peftType: "LORA";

  // ---- which modules ----
  /** Of targets that are a list, those in these layers alone (counted from 0, as the number in the path). Default null: all. */
  layersToTransform: readonly number[] | number | null;
  /** Names of the lists that `layersToTransform` counts in, such as `"layer"`. Default null: the first number in the path. */
  layersPattern: readonly string[] | string | null;

  // ---- how much ----
  /** Rank: width of the adapter. Default 8. */
  r: number;
  /** The adapter's output is multiplied by `loraAlpha / r`. Default 8. */
  loraAlpha: number;
  /** Multiply by `loraAlpha / √r` instead. Source: Kalajdzievski 2023. Default false. */
  useRslora: boolean;
  /** Train the length of each output's weights apart from their direction. Source: Liu et al. 2024 (DoRA). Default false. */
  useDora: boolean;
  /** Rank of modules whose path ends with the key (a regular expression), in place of `r`. Default {}. */
  rankPattern: Readonly<Record<string, number>>;
  /** Alpha of modules, as `rankPattern`. Default {}. */
  alphaPattern: Readonly<Record<string, number>>;

  // ---- how it is trained ----
  /** Dropout of the adapter's input. Default 0. */
  loraDropout: number;
  /** Biases that are trained: none, those of adapted layers, or all of the model. Default "none". */
  bias: "none" | "lora_only" | "all";
  /**
   * Start of new adapters. true: A as PyTorch's Linear, B zero (of an embedding: A zero, B normal). "gaussian": A normal with
   * deviation 1/r, B zero. false: both random, so that the model changes at once (for tests). Default true.
   */
  initLoraWeights: boolean | "gaussian";
}

/** Starts that PEFT knows and that are not here: each needs a decomposition of the base weight. */
const DECOMPOSED = ["olora", "pissa", "corda", "loftq", "eva", "orthogonal", "mica", "lora_ga"];

const KIND: ConfigKind<LoraConfig> = {
  name: "LoraConfig",
  defaults: {
    peftType: "LORA",
    ...TARGET_DEFAULTS,
    layersToTransform: null,
    layersPattern: null,
    r: 8,
    loraAlpha: 8,
    useRslora: false,
    useDora: false,
    rankPattern: {},
    alphaPattern: {},
    loraDropout: 0,
    bias: "none",
    initLoraWeights: true,
  },
  idle: { megatron_core: "megatron.core", qalora_group_size: 16 },
  check(config, refuse) {
    const name = "LoraConfig";
    if (!isCount(config.r)) refuse("r", "a whole number from 1 on");
    if (!isNumber(config.loraAlpha)) refuse("loraAlpha", "a number");
    if (!isNumber(config.loraDropout) || config.loraDropout < 0 || config.loraDropout >= 1)
      refuse("loraDropout", "a number from 0 on and under 1");
    if (!["none", "lora_only", "all"].includes(config.bias)) refuse("bias", "one of none, lora_only, all");
    const start: unknown = config.initLoraWeights;
    if (typeof start === "string" && DECOMPOSED.some((known) => start.toLowerCase().startsWith(known))) {
      throw new PeftError(
        "E_CONFIG_UNSUPPORTED",
        `LoraConfig: initLoraWeights "${start}" starts from a decomposition of the base weights, which is not done here. ` +
          'Use true or "gaussian", or make the adapter in Python; one that PEFT converted to plain LoRA loads here.',
      );
    }
    if (![true, false, "gaussian"].includes(start as boolean))
      refuse("initLoraWeights", 'true, false or "gaussian"');
    for (const key of ["targetModules", "excludeModules"] as const)
      checkNamesOrExpression(name, config, key, refuse);
    checkLayers(config, refuse);
    for (const [key, isGood, expected] of [
      ["rankPattern", isCount, "a rank (a whole number from 1 on) for each expression"],
      ["alphaPattern", isNumber, "a number for each expression"],
    ] as const) {
      for (const [expression, value] of Object.entries(config[key])) {
        checkExpression(name, key, expression);
        if (!isGood(value)) refuse(key, expected);
      }
    }
  },
};

function checkLayers(config: LoraConfig, refuse: (key: keyof LoraConfig, expected: string) => never): void {
  const { layersToTransform: layers, layersPattern: pattern, targetModules } = config;
  const isIndex = (value: unknown) => isCount(value, 0);
  if (layers !== null && !isIndex(layers) && !(Array.isArray(layers) && layers.every(isIndex)))
    refuse("layersToTransform", "a number of a layer, counted from 0, or a list of them");
  if (pattern !== null && typeof pattern !== "string" && !isNames(pattern))
    refuse("layersPattern", "a name or a list of names");
  for (const one of [pattern ?? []].flat()) checkExpression("LoraConfig", "layersPattern", one);
  if (typeof targetModules === "string" && layers !== null)
    refuse(
      "layersToTransform",
      "null where targetModules is an expression: let the expression name the layers",
    );
  if (pattern !== null && pattern.length > 0 && layers === null)
    refuse("layersPattern", "null without layersToTransform");
}

/**
 * Fills in PEFT's defaults and checks every setting. The result is frozen.
 * @throws PeftError `E_CONFIG_UNKNOWN` with the nearest known name, `E_CONFIG_VALUE` for a value out of range,
 *   `E_CONFIG_UNSUPPORTED` for a start that PEFT knows and this does not
 */
export function loraConfig(given: Partial<LoraConfig> = {}): Readonly<LoraConfig> {
  return makeConfig(KIND, given);
}

/** @param file for messages. See `peftConfigFromJson`. */
export function loraConfigFromJson(
  json: Readonly<Record<string, unknown>>,
  file = "adapter_config.json",
): Readonly<LoraConfig> {
  if ((json.peft_type ?? "LORA") !== "LORA") {
    throw new PeftError(
      "E_CONFIG_UNSUPPORTED",
      `${file}: peft_type is ${JSON.stringify(json.peft_type)}, expected "LORA". peftConfigFromJson reads every method.`,
    );
  }
  return configFromJson(KIND, json, file);
}

/** The settings as PEFT writes them. Settings of other methods are left out: PEFT then takes their defaults. */
export function loraConfigToJson(config: LoraConfig): Record<string, unknown> {
  return configToJson(config, { fan_in_fan_out: false });
}
