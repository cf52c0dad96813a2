/** Adapters on disk: PEFT's `adapter_config.json` and `adapter_model.safetensors`. Node only. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  openWeights,
  readJsonFile,
  saveSafetensors,
  type TensorSource,
  weightSource,
  writeJsonFile,
} from "@wgrad/models/node";
import { bytesOf, noGrad } from "@wgrad/tensor";
import { type LoraConfig, loraConfigFromJson, loraConfigToJson } from "./config.js";
import { type AdaptableModel, type PeftModel as LoadedModel, peftModelFromConfig } from "./peft-model.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model";

/** True if a folder holds an adapter: it has an `adapter_config.json`. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, CONFIG));
}

/**
 * Writes the adapter alone, as PEFT does: `adapter_model.safetensors` (A, B, trained biases, modules trained whole) and
 * `adapter_config.json`. Python reads it with `PeftModel.from_pretrained(model, folder)`.
 * @throws FileError if the folder cannot be written or the disk is full; what was there stays whole
 */
export async function savePretrained(model: LoadedModel<AdaptableModel>, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const sources: TensorSource[] = [...model.adapterState()].map(([name, tensor]) => ({
    name,
    dtype: "F32",
    shape: [...tensor.shape],
    bytes: async () => bytesOf(await noGrad(() => tensor.to("f32")).toArray()),
  }));
  await saveSafetensors(join(folder, `${WEIGHTS}.safetensors`), sources);
  await writeJsonFile(join(folder, CONFIG), loraConfigToJson({ ...model.peftConfig, inferenceMode: true }));
}

/**
 * Takes the weights of an adapter's folder into a model that has this adapter already, such as a checkpoint's.
 * @throws PeftError `E_ADAPTER_KEYS` or `E_ADAPTER_SHAPE` for a file that does not fit; FileError, SafetensorsError
 */
export async function loadAdapterWeights(model: LoadedModel<AdaptableModel>, folder: string): Promise<void> {
  await using reader = await openWeights(folder, WEIGHTS);
  await model.loadWeights(weightSource(reader, join(folder, `${WEIGHTS}.safetensors`)));
}

/** Settings of adapters on disk, as `peft.PeftConfig`. */
export const PeftConfig = {
  /** Reads `adapter_config.json` of a folder. @throws FileError, PeftError naming the file */
  async fromPretrained(folder: string): Promise<Readonly<LoraConfig>> {
    const path = join(folder, CONFIG);
    return loraConfigFromJson(await readJsonFile<Record<string, unknown>>(path), path);
  },
};

/** Models with adapters from disk, as `peft.PeftModel`. */
export const PeftModel = {
  /**
   * Puts an adapter of PEFT (or of `savePretrained`) into a model, in place.
   * @param options.isTrainable whether the adapter is to be trained on. Default false: everything is frozen.
   * @throws PeftError for settings this version does not know or weights that do not fit, naming them; FileError,
   *   SafetensorsError. The adapter is then taken off again; the model stays frozen.
   */
  async fromPretrained<M extends AdaptableModel>(
    model: M,
    folder: string,
    options: { isTrainable?: boolean } = {},
  ): Promise<LoadedModel<M>> {
    const config = await PeftConfig.fromPretrained(folder);
    const peft = peftModelFromConfig(model, { ...config, inferenceMode: !(options.isTrainable ?? false) });
    try {
      await loadAdapterWeights(peft, folder);
    } catch (error) {
      peft.unload();
      throw error;
    }
    return peft;
  },
};
