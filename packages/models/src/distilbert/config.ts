import { ConfigReader, type Labels, labelsOf } from "../config.js";
import type { ProblemType } from "../transformer.js";

/** Settings of a DistilBERT model, as `transformers.DistilBertConfig` in camelCase. */
export interface DistilBertConfig extends Labels {
  modelType: "distilbert";
  vocabSize: number;
  maxPositionEmbeddings: number;
  nLayers: number;
  nHeads: number;
  /** Width of the hidden states. */
  dim: number;
  /** Width inside the feed-forward part. */
  hiddenDim: number;
  /** Dropout of embeddings and feed-forward outputs. */
  dropout: number;
  /** Dropout of attention probabilities. */
  attentionDropout: number;
  activation: "gelu" | "relu";
  /** Standard deviation of new weights. */
  initializerRange: number;
  /** Dropout before the classifier. */
  seqClassifDropout: number;
  padTokenId: number;
  sinusoidalPosEmbds: boolean;
  tieWordEmbeddings: boolean;
  problemType: ProblemType | null;
  /** The JSON this was read from: keys that are not listed here are kept when it is saved. */
  json: Record<string, unknown>;
}

const DEFAULTS = {
  vocab_size: 30522,
  max_position_embeddings: 512,
  n_layers: 6,
  n_heads: 12,
  dim: 768,
  hidden_dim: 3072,
  dropout: 0.1,
  attention_dropout: 0.1,
  activation: "gelu",
  initializer_range: 0.02,
  seq_classif_dropout: 0.2,
  qa_dropout: 0.1,
  pad_token_id: 0,
  sinusoidal_pos_embds: false,
  tie_word_embeddings: true,
};

/**
 * Reads a `config.json` of DistilBERT; keys that are missing take Hugging Face's defaults.
 * @param labels names of the labels, in place of those in the JSON
 * @throws ConfigError for a value that the engine cannot run, naming the key
 */
export function distilBertConfig(
  json: Record<string, unknown> = {},
  labels?: readonly string[],
): DistilBertConfig {
  const merged = { ...DEFAULTS, ...json } as Record<string, unknown>;
  const read = new ConfigReader(merged);
  const number = (key: string, minimum: number) => read.number(key, minimum);
  const activation = read.oneOf("activation", ["gelu", "relu"]);
  read.divides("dim", "n_heads");
  return {
    modelType: "distilbert",
    vocabSize: number("vocab_size", 1),
    maxPositionEmbeddings: number("max_position_embeddings", 1),
    nLayers: number("n_layers", 0),
    nHeads: number("n_heads", 1),
    dim: number("dim", 1),
    hiddenDim: number("hidden_dim", 1),
    dropout: number("dropout", 0),
    attentionDropout: number("attention_dropout", 0),
    activation,
    initializerRange: number("initializer_range", 0),
    seqClassifDropout: number("seq_classif_dropout", 0),
    padTokenId: number("pad_token_id", 0),
    sinusoidalPosEmbds: merged.sinusoidal_pos_embds === true,
    tieWordEmbeddings: merged.tie_word_embeddings !== false,
    ...labelsOf(merged, labels),
    problemType: (merged.problem_type as ProblemType) ?? null,
    json,
  };
}

/** The config as Hugging Face writes it. */
export function distilBertConfigJson(
  config: DistilBertConfig,
  architecture: string,
): Record<string, unknown> {
  return {
    ...DEFAULTS,
    ...config.json,
    activation: config.activation,
    architectures: [architecture],
    attention_dropout: config.attentionDropout,
    dim: config.dim,
    dropout: config.dropout,
    dtype: "float32",
    hidden_dim: config.hiddenDim,
    id2label: config.id2label,
    initializer_range: config.initializerRange,
    label2id: config.label2id,
    max_position_embeddings: config.maxPositionEmbeddings,
    model_type: "distilbert",
    n_heads: config.nHeads,
    n_layers: config.nLayers,
    pad_token_id: config.padTokenId,
    problem_type: config.problemType,
    seq_classif_dropout: config.seqClassifDropout,
    tie_word_embeddings: config.tieWordEmbeddings,
    vocab_size: config.vocabSize,
  };
}
