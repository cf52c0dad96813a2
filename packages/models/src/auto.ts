/** `Auto*` classes over folders and hub ids, and saving. Node only. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf, type Device, type Module, noGrad, skipInit, toFloat32 } from "@wgrad/tensor";
import { CLIPForImageClassification } from "./clip/classification.js";
import { type CLIPConfig, clipConfig } from "./clip/config.js";
import { CLIPModel } from "./clip/model.js";
import { CLIPPreTrainedModel } from "./clip/pretrained.js";
import { CLIPTextModel } from "./clip/text.js";
import { CLIPVisionModel } from "./clip/vision.js";
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
  writeConfigFile,
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

/** Configs by their `model_type`. */
interface Configs {
  distilbert: DistilBertConfig;
  clip: CLIPConfig;
}

/** Kinds of models that there are. */
export type ModelType = keyof Configs;

/** The config of a model of any kind. */
export type ModelConfig = Configs[ModelType];

type ConfigOptions = Pick<FromPretrainedOptions, "labels" | "numLabels" | "config">;

/** Reads config.json of a folder or hub id. */
export const AutoConfig = {
  /**
   * @param options.modelType the kind of model that is wanted
   * @throws HubError for a name that leads nowhere, FileError for a file that cannot be read, ConfigError for a model of another kind
   */
  async fromPretrained<T extends ModelType = ModelType>(
    nameOrFolder: string,
    options: ResolveOptions & ConfigOptions & { modelType?: T } = {},
  ): Promise<Configs[T]> {
    const folder = await resolveModel(nameOrFolder, { ...options, needs: "config" });
    const { config } = await readConfig(folder, options);
    expectKind(config, options.modelType, folder);
    return config as Configs[T];
  },
};

/** Readers by `model_type`; a tower of CLIP that was saved alone has the config of a whole CLIP with defaults for the other one. */
const READERS: Readonly<
  Record<string, (json: Record<string, unknown>, labels?: readonly string[]) => ModelConfig>
> = {
  distilbert: distilBertConfig,
  clip: clipConfig,
  clip_text_model: clipConfig,
  clip_vision_model: clipConfig,
};

/** What a checkpoint of each kind is, for messages. */
const EXAMPLES: Record<ModelType, string> = {
  distilbert: "a DistilBERT checkpoint such as distilbert-base-uncased",
  clip: "a CLIP checkpoint such as openai/clip-vit-base-patch16",
};

function expectKind(config: ModelConfig, wanted: ModelType | undefined, folder: string): void {
  if (wanted === undefined || config.modelType === wanted) return;
  throw new ConfigError(
    `${join(folder, "config.json")}: model_type is ${JSON.stringify(config.modelType)}, but here ${wanted} is needed. Use ${EXAMPLES[wanted]}.`,
  );
}

async function readConfig(
  folder: string,
  options: ConfigOptions,
): Promise<{ config: ModelConfig; modelType: string }> {
  const path = join(folder, "config.json");
  const json = { ...(await readJsonFile<Record<string, unknown>>(path)), ...options.config };
  const modelType = String(json.model_type);
  const read = Object.hasOwn(READERS, modelType) ? READERS[modelType] : undefined;
  if (!read) {
    throw new ConfigError(
      `${path}: model_type is ${JSON.stringify(json.model_type ?? null)}; this version builds ${Object.keys(EXAMPLES).join(" and ")}. ` +
        `Use ${Object.values(EXAMPLES).join(", or ")}.`,
    );
  }
  try {
    const config = read(json, options.labels);
    const { numLabels } = options;
    if (numLabels === undefined || options.labels || numLabels === config.numLabels)
      return { config, modelType };
    const { id2label: _old, ...rest } = json;
    return { config: read({ ...rest, num_labels: numLabels }), modelType };
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

/** A class of model, such as `CLIPTextModel`, which a config makes. */
export type ModelClass<M extends PreTrainedModel, C extends ModelConfig> = new (
  device: Device,
  config: C,
) => M;

/** A model of a class with new random weights. */
export function fromConfig<M extends PreTrainedModel, C extends ModelConfig>(
  modelClass: ModelClass<M, C>,
  device: Device,
  config: C,
): M {
  return skipInit(() => new modelClass(device, config)).initAllWeights();
}

/**
 * Reads a model as an object of a class of one's choice, as `CLIPTextModel.from_pretrained` of transformers does. Weights that the file
 * lacks (a new head) are initialised as Hugging Face does, with its warning.
 * @throws HubError, FileError, SafetensorsError, ConfigError (also for a checkpoint of another kind) or WeightsError, each naming the
 *   file and the way out
 */
export async function fromPretrained<M extends PreTrainedModel, C extends ModelConfig>(
  modelClass: ModelClass<M, C>,
  device: Device,
  nameOrFolder: string,
  options: FromPretrainedOptions = {},
): Promise<Loaded<M>> {
  return load(() => modelClass as unknown as ModelClass<M, never>, device, nameOrFolder, options);
}

async function load<M extends PreTrainedModel>(
  choose: (modelType: string, folder: string) => ModelClass<M, never>,
  device: Device,
  nameOrFolder: string,
  options: FromPretrainedOptions,
): Promise<Loaded<M>> {
  const folder = await resolveModel(nameOrFolder, { ...options, needs: "model" });
  const { config, modelType } = await readConfig(folder, options);
  const modelClass = choose(modelType, folder);
  expectKind(config, modelClass.prototype instanceof CLIPPreTrainedModel ? "clip" : "distilbert", folder);
  await using reader = await openWeights(folder);
  const model = skipInit(() => new modelClass(device, config as never));
  try {
    const info = await model.loadWeights(weightSource(reader, folder), options.onWeights);
    const warning = newlyInitializedWarning(model, info, nameOrFolder);
    if (warning) (options.onWarning ?? console.warn)(warning);
    return { model, info, folder };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** @param classes by `model_type` */
function autoModel<M extends PreTrainedModel>(
  name: string,
  classes: Readonly<Record<string, ModelClass<M, never>>>,
) {
  const choose = (modelType: string, folder: string): ModelClass<M, never> => {
    const modelClass = Object.hasOwn(classes, modelType) ? classes[modelType] : undefined;
    if (modelClass) return modelClass;
    throw new ConfigError(
      `${join(folder, "config.json")}: there is no ${name} of model_type ${JSON.stringify(modelType)}, but of ${Object.keys(classes).join(", ")}. ` +
        `Use ${(Object.keys(EXAMPLES) as ModelType[])
          .filter((kind) => Object.hasOwn(classes, kind))
          .map((kind) => EXAMPLES[kind])
          .join(", or ")}.`,
    );
  };
  return {
    /** A model with new random weights. */
    fromConfig(device: Device, config: ModelConfig): M {
      return fromConfig(choose(config.modelType, "") as ModelClass<M, ModelConfig>, device, config);
    },

    /** Reads a model of the class that fits its config: see {@link fromPretrained} for what it does and throws. */
    fromPretrained(
      device: Device,
      nameOrFolder: string,
      options: FromPretrainedOptions = {},
    ): Promise<Loaded<M>> {
      return load(choose, device, nameOrFolder, options);
    },
  };
}

/** Without a head, as `transformers.AutoModel`: `DistilBertModel`, `CLIPModel`, or one of its towers that was saved alone. */
export const AutoModel = autoModel<DistilBertModel | CLIPModel | CLIPTextModel | CLIPVisionModel>(
  "AutoModel",
  {
    distilbert: DistilBertModel,
    clip: CLIPModel,
    clip_text_model: CLIPTextModel,
    clip_vision_model: CLIPVisionModel,
  },
);

/** With a classifier of texts, as `transformers.AutoModelForSequenceClassification`. */
export const AutoModelForSequenceClassification = autoModel<DistilBertForSequenceClassification>(
  "AutoModelForSequenceClassification",
  { distilbert: DistilBertForSequenceClassification },
);

/** With a masked-language-model head, as `transformers.AutoModelForMaskedLM`. */
export const AutoModelForMaskedLM = autoModel<DistilBertForMaskedLM>("AutoModelForMaskedLM", {
  distilbert: DistilBertForMaskedLM,
});

/** With a classifier of pictures, as `transformers.AutoModelForImageClassification`. */
export const AutoModelForImageClassification = autoModel<CLIPForImageClassification>(
  "AutoModelForImageClassification",
  { clip: CLIPForImageClassification, clip_vision_model: CLIPForImageClassification },
);

/** For pictures and classes in words, as `transformers.AutoModelForZeroShotImageClassification`. */
export const AutoModelForZeroShotImageClassification = autoModel<CLIPModel>(
  "AutoModelForZeroShotImageClassification",
  { clip: CLIPModel },
);

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
  await writeConfigFile(join(folder, "config.json"), model.configJson());
  await options.tokenizer?.savePretrained(folder);
}
