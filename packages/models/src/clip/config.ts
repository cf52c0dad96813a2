import type { Activation } from "@wgrad/tensor";
import { ConfigReader, type Labels, labelsOf } from "../config.js";
import type { ProblemType } from "../transformer.js";

/** What the configs of both towers have. */
export interface CLIPTowerConfig {
  /** Width of the hidden states. */
  hiddenSize: number;
  /** Width inside the feed-forward part. */
  intermediateSize: number;
  /** Width of the space that both towers are projected to. */
  projectionDim: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  hiddenAct: Activation;
  layerNormEps: number;
  /** Dropout of attention probabilities. */
  attentionDropout: number;
  /** Standard deviation of new weights. */
  initializerRange: number;
  /** Factor of all standard deviations of new weights. */
  initializerFactor: number;
}

/** Settings of the text tower, as `transformers.CLIPTextConfig` in camelCase. */
export interface CLIPTextConfig extends CLIPTowerConfig {
  modelType: "clip_text_model";
  vocabSize: number;
  maxPositionEmbeddings: number;
  /** The token whose first position is pooled; 2 in old configs, which means: the position of the highest id. */
  eosTokenId: number;
}

/** Settings of the vision tower, as `transformers.CLIPVisionConfig` in camelCase. */
export interface CLIPVisionConfig extends CLIPTowerConfig {
  modelType: "clip_vision_model";
  numChannels: number;
  /** Rows and columns of a picture, pixels. */
  imageSize: number;
  /** Rows and columns of a patch, pixels. */
  patchSize: number;
}

/** Settings of a CLIP model, as `transformers.CLIPConfig` in camelCase. */
export interface CLIPConfig extends Labels {
  modelType: "clip";
  textConfig: CLIPTextConfig;
  visionConfig: CLIPVisionConfig;
  /** Width of the space that both towers are projected to. */
  projectionDim: number;
  /** Start value of `logit_scale`, a logarithm: ln(1 / 0.07) = 2.6592. */
  logitScaleInitValue: number;
  initializerFactor: number;
  problemType: ProblemType | null;
  /** The JSON this was read from: keys that are not listed here are kept when it is saved. */
  json: Record<string, unknown>;
}

const TOWER_DEFAULTS = {
  projection_dim: 512,
  num_hidden_layers: 12,
  hidden_act: "quick_gelu",
  layer_norm_eps: 1e-5,
  attention_dropout: 0,
  initializer_range: 0.02,
  initializer_factor: 1,
};

const TEXT_DEFAULTS = {
  ...TOWER_DEFAULTS,
  vocab_size: 49408,
  hidden_size: 512,
  intermediate_size: 2048,
  num_attention_heads: 8,
  max_position_embeddings: 77,
  pad_token_id: 1,
  bos_token_id: 49406,
  eos_token_id: 49407,
};

const VISION_DEFAULTS = {
  ...TOWER_DEFAULTS,
  hidden_size: 768,
  intermediate_size: 3072,
  num_attention_heads: 12,
  num_channels: 3,
  image_size: 224,
  patch_size: 32,
};

const DEFAULTS = { projection_dim: 512, logit_scale_init_value: 2.6592, initializer_factor: 1 };

function towerConfig(read: ConfigReader): CLIPTowerConfig {
  read.divides("hidden_size", "num_attention_heads");
  return {
    hiddenSize: read.number("hidden_size", 1),
    intermediateSize: read.number("intermediate_size", 1),
    projectionDim: read.number("projection_dim", 1),
    numHiddenLayers: read.number("num_hidden_layers", 0),
    numAttentionHeads: read.number("num_attention_heads", 1),
    hiddenAct: read.oneOf("hidden_act", ["quick_gelu", "gelu", "relu"]),
    layerNormEps: read.number("layer_norm_eps", 0),
    attentionDropout: read.number("attention_dropout", 0),
    initializerRange: read.number("initializer_range", 0),
    initializerFactor: read.number("initializer_factor", 0),
  };
}

function textConfig(json: Record<string, unknown>): CLIPTextConfig {
  const read = new ConfigReader({ ...TEXT_DEFAULTS, ...json }, "text_config.");
  return {
    modelType: "clip_text_model",
    ...towerConfig(read),
    vocabSize: read.number("vocab_size", 1),
    maxPositionEmbeddings: read.number("max_position_embeddings", 1),
    eosTokenId: read.number("eos_token_id", 0),
  };
}

function visionConfig(json: Record<string, unknown>): CLIPVisionConfig {
  const read = new ConfigReader({ ...VISION_DEFAULTS, ...json }, "vision_config.");
  read.divides("image_size", "patch_size");
  return {
    modelType: "clip_vision_model",
    ...towerConfig(read),
    numChannels: read.number("num_channels", 1),
    imageSize: read.number("image_size", 1),
    patchSize: read.number("patch_size", 1),
  };
}

/** What stands in a config for one tower; old files have it twice, and the second one counts. */
function towerJson(json: Record<string, unknown>, tower: "text" | "vision"): Record<string, unknown> {
  if (json.model_type === `clip_${tower}_model`) return json;
  return {
    ...(json[`${tower}_config`] as object | null | undefined),
    ...(json[`${tower}_config_dict`] as object | null | undefined),
  };
}

/**
 * Reads a `config.json` of CLIP, or of one of its towers alone (the other one gets defaults then); keys that are missing take
 * Hugging Face's defaults, which are ViT-B/32's.
 * @param labels names of the labels, in place of those in the JSON
 * @throws ConfigError for a value that the engine cannot run, naming the key
 */
export function clipConfig(json: Record<string, unknown> = {}, labels?: readonly string[]): CLIPConfig {
  const merged: Record<string, unknown> = { ...DEFAULTS, ...json };
  const read = new ConfigReader(merged);
  return {
    modelType: "clip",
    textConfig: textConfig(towerJson(json, "text")),
    visionConfig: visionConfig(towerJson(json, "vision")),
    projectionDim: read.number("projection_dim", 1),
    logitScaleInitValue: read.number("logit_scale_init_value", 0),
    initializerFactor: read.number("initializer_factor", 0),
    ...labelsOf(merged, labels),
    problemType: (merged.problem_type as ProblemType) ?? null,
    json,
  };
}

/** The config of the text tower as Hugging Face writes it. */
export function clipTextConfigJson(config: CLIPConfig): Record<string, unknown> {
  const tower = config.textConfig;
  return {
    ...TEXT_DEFAULTS,
    ...towerJson(config.json, "text"),
    ...towerKeys(tower),
    eos_token_id: tower.eosTokenId,
    max_position_embeddings: tower.maxPositionEmbeddings,
    model_type: tower.modelType,
    vocab_size: tower.vocabSize,
  };
}

/** The config of the vision tower as Hugging Face writes it. */
export function clipVisionConfigJson(config: CLIPConfig): Record<string, unknown> {
  const tower = config.visionConfig;
  return {
    ...VISION_DEFAULTS,
    ...towerJson(config.json, "vision"),
    ...towerKeys(tower),
    image_size: tower.imageSize,
    model_type: tower.modelType,
    num_channels: tower.numChannels,
    patch_size: tower.patchSize,
  };
}

function towerKeys(tower: CLIPTowerConfig): Record<string, unknown> {
  return {
    attention_dropout: tower.attentionDropout,
    hidden_act: tower.hiddenAct,
    hidden_size: tower.hiddenSize,
    initializer_factor: tower.initializerFactor,
    initializer_range: tower.initializerRange,
    intermediate_size: tower.intermediateSize,
    layer_norm_eps: tower.layerNormEps,
    num_attention_heads: tower.numAttentionHeads,
    num_hidden_layers: tower.numHiddenLayers,
    projection_dim: tower.projectionDim,
  };
}

/**
 * The config as Hugging Face writes it.
 * @param withLabels whether the model has a classifier
 */
export function clipConfigJson(
  config: CLIPConfig,
  architecture: string,
  withLabels: boolean,
): Record<string, unknown> {
  const { text_config_dict: _text, vision_config_dict: _vision, ...json } = config.json;
  const labels = withLabels
    ? { id2label: config.id2label, label2id: config.label2id, problem_type: config.problemType }
    : {};
  return {
    ...DEFAULTS,
    ...json,
    architectures: [architecture],
    dtype: "float32",
    initializer_factor: config.initializerFactor,
    ...labels,
    logit_scale_init_value: config.logitScaleInitValue,
    model_type: "clip",
    projection_dim: config.projectionDim,
    text_config: clipTextConfigJson(config),
    vision_config: clipVisionConfigJson(config),
  };
}
