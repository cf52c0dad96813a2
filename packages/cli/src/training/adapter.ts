/** Adapters of PEFT in recipes. */
import {
  getPeftModel,
  type PeftConfig,
  PeftError,
  peftConfig,
  peftConfigFromJson,
  peftConfigToJson,
} from "@wgrad/peft";
import { nearest } from "@wgrad/tensor";
import type { AnyModel, TrainableModel } from "@wgrad/trainer";
import { UsageError } from "../errors.js";

/**
 * Settings of an adapter, by the keys of PEFT's `adapter_config.json`.
 * @param where what they come from, for messages
 * @throws UsageError for an unknown key and a value out of range
 */
export function readAdapterConfig(
  json: Readonly<Record<string, unknown>>,
  where: string,
): Readonly<PeftConfig> {
  try {
    const type = peftConfigFromJson({ peft_type: json.peft_type }, where).peftType;
    const known = Object.keys(peftConfigToJson(peftConfig({ peftType: type })));
    for (const key of Object.keys(json)) {
      if (known.includes(key)) continue;
      throw new UsageError(
        `${where}: "${key}" is no setting of ${type}. Did you mean ${nearest(key, known)}?`,
      );
    }
    return peftConfigFromJson(json, where);
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
export function withAdapter(
  model: TrainableModel,
  peft: Readonly<Record<string, unknown>> | null,
  base: string,
): TrainableModel;
export function withAdapter(
  model: AnyModel,
  peft: Readonly<Record<string, unknown>> | null,
  base: string,
): AnyModel;
export function withAdapter(
  model: AnyModel,
  peft: Readonly<Record<string, unknown>> | null,
  base: string,
): AnyModel {
  if (peft === null) return model;
  const config = readAdapterConfig(peft, "peft");
  return getPeftModel(model, { ...config, baseModelNameOrPath: base, inferenceMode: false });
}
