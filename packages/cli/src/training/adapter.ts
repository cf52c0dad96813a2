/** Adapters of PEFT in recipes and in folders. */
import { getPeftModel, type LoraConfig, loraConfigFromJson, PeftError } from "@wgrad/peft";
import type { TrainableModel } from "@wgrad/trainer";
import { UsageError } from "../errors.js";

/**
 * Settings of an adapter, by the keys of PEFT's `adapter_config.json`.
 * @param where what they come from, for messages
 * @throws UsageError for an unknown key and a value out of range
 */
export function readAdapterConfig(
  json: Readonly<Record<string, unknown>>,
  where: string,
): Readonly<LoraConfig> {
  try {
    return loraConfigFromJson(json, where);
  } catch (error) {
    if (error instanceof PeftError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/**
 * Puts the adapter of a recipe into a model, in place; without one, gives the model back.
 * @param base name of the model, for those who load the adapter
 * @throws PeftError `E_TARGET` for layers that the model does not have
 */
export function withAdapter<M extends TrainableModel>(
  model: M,
  peft: Readonly<Record<string, unknown>> | null,
  base: string,
): TrainableModel {
  if (peft === null) return model;
  return getPeftModel(model, {
    ...readAdapterConfig(peft, "peft"),
    baseModelNameOrPath: base,
    inferenceMode: false,
  });
}
