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
import { bytesOf, type Module, noGrad } from "@wgrad/tensor";
import { type PeftConfig as AdapterConfig, peftConfigFromJson, peftConfigToJson } from "./peft-config.js";
import {
  type AdaptableModel,
  DEFAULT_ADAPTER,
  type PeftModel as LoadedModel,
  peftModelFromConfig,
} from "./peft-model.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model";

/** True if a folder holds an adapter: it has an `adapter_config.json`. */
export function isAdapterFolder(folder: string): boolean {
  return existsSync(join(folder, CONFIG));
}

/**
 * Writes the adapters alone, as PEFT does: `adapter_model.safetensors` (A, B, trained biases, modules trained whole) and
 * `adapter_config.json`; an adapter that is not called `default` into a folder of its name inside. Python reads one with
 * `PeftModel.from_pretrained(model, folder)`.
 * @param options.selectedAdapters default: all
 * @throws FileError if the folder cannot be written or the disk is full (what was there stays whole); PeftError `E_ADAPTER` for a
 *   name that is not there
 */
export async function savePretrained(
  model: LoadedModel<AdaptableModel>,
  folder: string,
  options: { selectedAdapters?: readonly string[] } = {},
): Promise<void> {
  for (const adapter of options.selectedAdapters ?? Object.keys(model.peftConfig)) {
    const place = adapter === DEFAULT_ADAPTER ? folder : join(folder, adapter);
    const sources: TensorSource[] = [...model.adapterState(adapter)].map(([name, tensor]) => ({
      name,
      dtype: "F32",
      shape: [...tensor.shape],
      bytes: async () => bytesOf(await noGrad(() => tensor.to("f32")).toArray()),
    }));
    await mkdir(place, { recursive: true });
    await saveSafetensors(join(place, `${WEIGHTS}.safetensors`), sources);
    const config = peftConfigToJson({ ...model.peftConfig[adapter]!, inferenceMode: true });
    // Without a task type this is how Python's AutoPeftModel finds the class of the base model.
    if (config.task_type === null) config.auto_mapping = autoMapping(model.getBaseModel());
    await writeJsonFile(join(place, CONFIG), config);
  }
}

function autoMapping(base: Module & { transformersModule?: string | null }): object | null {
  if (!base.transformersModule) return null;
  return { base_model_class: base.constructor.name, parent_library: base.transformersModule };
}

async function loadFile(model: LoadedModel<AdaptableModel>, adapter: string, folder: string): Promise<void> {
  await using reader = await openWeights(folder, WEIGHTS);
  await model.loadAdapterState(adapter, weightSource(reader, join(folder, `${WEIGHTS}.safetensors`)));
}

/**
 * Takes the weights of adapters that `savePretrained` wrote into a model that has these adapters already, such as those of a
 * checkpoint.
 * @throws PeftError `E_ADAPTER_KEYS` or `E_ADAPTER_SHAPE` for a file that does not fit; FileError, SafetensorsError
 */
export async function loadAdapterWeights(model: LoadedModel<AdaptableModel>, folder: string): Promise<void> {
  const adapters = Object.keys(model.peftConfig);
  for (const adapter of adapters) {
    const own = join(folder, adapter);
    const isInside = adapter !== DEFAULT_ADAPTER && (adapters.length > 1 || isAdapterFolder(own));
    await loadFile(model, adapter, isInside ? own : folder);
  }
}

/** Settings of adapters on disk, as `peft.PeftConfig`. */
export const PeftConfig = {
  /** Reads `adapter_config.json` of a folder. @throws FileError, PeftError naming the file */
  async fromPretrained(folder: string): Promise<Readonly<AdapterConfig>> {
    const path = join(folder, CONFIG);
    return peftConfigFromJson(await readJsonFile<Record<string, unknown>>(path), path);
  },
};

/** How an adapter is read. */
export interface LoadAdapterOptions {
  /** Whether the adapter is to be trained on. Default false: it is frozen. */
  isTrainable?: boolean;
}

/**
 * Adds an adapter from disk to a model that has others. It does not act yet: call `setAdapter`.
 * @throws PeftError as `PeftModel.fromPretrained`; the adapter is then not there
 */
export async function loadAdapter(
  model: LoadedModel<AdaptableModel>,
  folder: string,
  adapterName: string,
  options: LoadAdapterOptions = {},
): Promise<void> {
  const config = await PeftConfig.fromPretrained(folder);
  const inferenceMode = !(options.isTrainable ?? false);
  model.addAdapter(adapterName, { ...config, inferenceMode }, { strict: false });
  try {
    await loadFile(model, adapterName, folder);
  } catch (error) {
    model.deleteAdapter(adapterName);
    throw error;
  }
}

/** Models with adapters from disk, as `peft.PeftModel`. */
export const PeftModel = {
  /**
   * Puts an adapter of PEFT (or of `savePretrained`) into a model, in place.
   * @param options.isTrainable whether the adapter is to be trained on. Default false: everything is frozen.
   * @param options.adapterName name of the adapter in the model. Default `default`
   * @throws PeftError for settings this version does not know or weights that do not fit, naming them; FileError,
   *   SafetensorsError. The adapter is then taken off again; the model stays frozen.
   */
  async fromPretrained<M extends AdaptableModel>(
    model: M,
    folder: string,
    options: LoadAdapterOptions & { adapterName?: string } = {},
  ): Promise<LoadedModel<M>> {
    const config = await PeftConfig.fromPretrained(folder);
    const inferenceMode = !(options.isTrainable ?? false);
    const adapterName = options.adapterName ?? DEFAULT_ADAPTER;
    const peft = peftModelFromConfig(model, { ...config, inferenceMode }, { adapterName });
    try {
      await loadFile(peft, adapterName, folder);
    } catch (error) {
      peft.unload();
      throw error;
    }
    return peft;
  },
};
