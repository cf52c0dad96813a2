/** `IA3Config`: the settings of (IA)³. */
import {
  type ConfigKind,
  checkNamesOrExpression,
  configFromJson,
  configToJson,
  isNames,
  makeConfig,
  TARGET_DEFAULTS,
  type TargetConfig,
} from "../config.js";

/** Settings of (IA)³: names and defaults of `peft.IA3Config` in camelCase. Plain JSON. */
export interface IA3Config extends TargetConfig {
  peftType: "IA3";
  /**
   * Those of the targets whose input is scaled and not their output, as a list or an expression; as a list, a part of
   * `targetModules`. Default null: none.
   */
  feedforwardModules: readonly string[] | string | null;
  /** Start at 1, so that nothing changes; false: random numbers, for tests. Default true. */
  initIa3Weights: boolean;
}

/** What there is to know about its settings. */
export const IA3_KIND: ConfigKind<IA3Config> = {
  name: "IA3Config",
  defaults: { peftType: "IA3", ...TARGET_DEFAULTS, feedforwardModules: null, initIa3Weights: true },
  idle: {},
  check(config, refuse) {
    for (const key of ["targetModules", "excludeModules", "feedforwardModules"] as const)
      checkNamesOrExpression("IA3Config", config, key, refuse);
    const { targetModules, feedforwardModules } = config;
    if (!isNames(targetModules) || !isNames(feedforwardModules)) return;
    if (!feedforwardModules.every((name) => targetModules.includes(name)))
      refuse("feedforwardModules", "names that are among targetModules");
  },
};

/**
 * Fills in PEFT's defaults and checks every setting. The result is frozen.
 * @throws PeftError `E_CONFIG_UNKNOWN` with the nearest known name, `E_CONFIG_VALUE` for a value out of range
 */
export function ia3Config(given: Partial<IA3Config> = {}): Readonly<IA3Config> {
  return makeConfig(IA3_KIND, given);
}

/** @param file for messages. See `peftConfigFromJson`. */
export function ia3ConfigFromJson(
  json: Readonly<Record<string, unknown>>,
  file: string,
): Readonly<IA3Config> {
  return configFromJson(IA3_KIND, json, file);
}

/** The settings as PEFT writes them. */
export function ia3ConfigToJson(config: IA3Config): Record<string, unknown> {
  return configToJson(config, { fan_in_fan_out: false });
}
