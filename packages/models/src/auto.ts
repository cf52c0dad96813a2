/** `Auto*` classes over folders and hub ids, and saving. Node only. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf, type Device, type Module, noGrad, skipInit, toFloat32 } from "@wgrad/tensor";
import { type DistilBertConfig, distilBertConfig } from "./distilbert/config.js";
import { DistilBertForMaskedLM, DistilBertForSequenceClassification } from "./distilbert/heads.js";
import { DistilBertModel } from "./distilbert/model.js";
import { ConfigError, WeightsError } from "./errors.js";
import {
  openWeights,
  readJsonFile,
  saveWeights,
  type TensorSource,
  type WeightsReader,
  writeJsonFile,
} from "./files.js";
import { type ResolveOptions, resolveModel } from "./hub/resolve.js";
import {
  type LoadingInfo,
  newlyInitializedWarning,
  type PreTrainedModel,
  type WeightSource,
} from "./pretrained-model.js";
import type { PreTrainedTokenizer } from "./tokenizer/index.js";

/** Options of `fromPretrained`. */
export interface FromPretrainedOptions extends ResolveOptions {
  /** Number of labels of a new classifier. Default: the config's. */
  numLabels?: number;
  /** Names of the labels; their number wins over `numLabels`. */
  labels?: readonly string[];
  /** Settings that replace those of config.json, by Hugging Face's snake_case keys, such as `{ dropout: 0 }`. */
  config?: Record<string, unknown>;
  /** Where warnings go, such as the one about new weights. Default `console.warn`. */
  onWarning?: (message: string) => void;
  /** Called after each tensor. */
  onWeights?: (done: number, total: number) => void;
}

/** A model with what its loading found. */
export interface Loaded<M> {
  model: M;
  info: LoadingInfo;
  /** Where it was read from. */
  folder: string;
}

/** Reads config.json of a folder or hub id. */
export const AutoConfig = {
  /**
   * @throws HubError for a name that leads nowhere, FileError for a file that cannot be read, ConfigError for a model of another kind
   */
  async fromPretrained(
    nameOrFolder: string,
    options: ResolveOptions & Pick<FromPretrainedOptions, "labels" | "numLabels" | "config"> = {},
  ): Promise<DistilBertConfig> {
    const folder = await resolveModel(nameOrFolder, { ...options, needs: "config" });
    return readConfig(folder, options);
  },
};

async function readConfig(
  folder: string,
  options: Pick<FromPretrainedOptions, "labels" | "numLabels" | "config">,
): Promise<DistilBertConfig> {
  const path = join(folder, "config.json");
  const json = { ...(await readJsonFile<Record<string, unknown>>(path)), ...options.config };
  if (json.model_type !== "distilbert") {
    throw new ConfigError(
      `${path}: model_type is ${JSON.stringify(json.model_type ?? null)}; this version builds distilbert. ` +
        "Use a DistilBERT checkpoint such as distilbert-base-uncased.",
    );
  }
  try {
    const config = distilBertConfig(json, options.labels);
    if (options.numLabels === undefined || options.labels || options.numLabels === config.numLabels)
      return config;
    const { id2label: _old, ...rest } = json;
    return distilBertConfig({ ...rest, num_labels: options.numLabels });
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(`${folder}: ${error.message}`);
    throw error;
  }
}

/** Weights on disk as a model reads them. */
export function weightSource(reader: WeightsReader, name: string): WeightSource {
  return {
    name,
    shapes: new Map([...reader.tensors].map(([key, info]) => [key, info.shape])),
    read: async (key) => toFloat32(await reader.read(key)),
  };
}

function autoModel<M extends PreTrainedModel>(make: (device: Device, config: DistilBertConfig) => M) {
  return {
    /** A model with new random weights. */
    fromConfig(device: Device, config: DistilBertConfig): M {
      return skipInit(() => make(device, config)).initAllWeights();
    },

    /**
     * Reads a model. Weights that the file lacks (a new head) are initialised as Hugging Face does, with its warning.
     * @throws HubError, FileError, SafetensorsError, ConfigError or WeightsError, each naming the file and the way out
     */
    async fromPretrained(
      device: Device,
      nameOrFolder: string,
      options: FromPretrainedOptions = {},
    ): Promise<Loaded<M>> {
      const folder = await resolveModel(nameOrFolder, { ...options, needs: "model" });
      const config = await readConfig(folder, options);
      await using reader = await openWeights(folder);
      const model = skipInit(() => make(device, config));
      try {
        const info = await model.loadWeights(weightSource(reader, folder), options.onWeights);
        const warning = newlyInitializedWarning(model, info, nameOrFolder);
        if (warning) (options.onWarning ?? console.warn)(warning);
        return { model, info, folder };
      } catch (error) {
        model.dispose();
        throw error;
      }
    },
  };
}

/** The bare encoder, as `transformers.AutoModel`. */
export const AutoModel = autoModel((device, config) => new DistilBertModel(device, config));

/** With a classifier, as `transformers.AutoModelForSequenceClassification`. */
export const AutoModelForSequenceClassification = autoModel(
  (device, config) => new DistilBertForSequenceClassification(device, config),
);

/** With a masked-language-model head, as `transformers.AutoModelForMaskedLM`. */
export const AutoModelForMaskedLM = autoModel((device, config) => new DistilBertForMaskedLM(device, config));

/** The tensors of a module as they are written to a file: f32, read back one at a time. */
export function tensorSources(module: Module, without: readonly string[] = []): TensorSource[] {
  return [...module.stateDict()]
    .filter(([name]) => !without.includes(name))
    .map(([name, tensor]) => ({
      name,
      dtype: "F32" as const,
      shape: [...tensor.shape],
      bytes: async () => bytesOf(await noGrad(() => tensor.to("f32")).toArray()),
    }));
}

/**
 * Writes a model (and its tokenizer) as Hugging Face does: `config.json`, `model.safetensors` (in shards if large), tokenizer
 * files. Each file is written beside its place and renamed: what was there stays whole until then.
 * @throws FileError if the folder cannot be written or the disk is full
 */
export async function savePretrained(
  model: PreTrainedModel,
  folder: string,
  options: { tokenizer?: PreTrainedTokenizer; maxShardSize?: string | number } = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { maxShardSize } = options;
  const sources = tensorSources(model, model.tiedKeys());
  if (sources.length === 0)
    throw new WeightsError("E_WEIGHTS_MISSING", `${folder}: the model has no weights to save.`);
  await saveWeights(folder, sources, maxShardSize === undefined ? {} : { maxShardSize });
  await writeJsonFile(join(folder, "config.json"), model.configJson());
  await options.tokenizer?.savePretrained(folder);
}
