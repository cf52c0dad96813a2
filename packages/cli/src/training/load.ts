import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DistilBertConfig } from "@wgrad/models";
import {
  AutoModelForSequenceClassification,
  AutoTokenizer,
  type FromPretrainedOptions,
  openWeights,
  readJsonFile,
  resolveModel,
} from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { isAdapterFolder, PeftConfig, PeftModel } from "@wgrad/peft/node";
import type { Device } from "@wgrad/tensor";
import type { TrainableModel } from "@wgrad/trainer";
import { CommandError, UsageError } from "../errors.js";
import { hubOptions } from "../hub.js";
import type { Ui } from "../ui.js";

/** A classifier and its tokenizer. */
export interface Classifier {
  /** The model, or the model with an adapter. */
  model: TrainableModel;
  /** Of the model, below the adapter where there is one. */
  config: DistilBertConfig;
  /** Names of the classes, in the order of the logits. */
  labels: readonly string[];
  tokenizer: PreTrainedTokenizer;
  folder: string;
}

const HEAD = /^(pre_classifier|classifier)\./;

/** Options of {@link loadClassifier}. */
export interface LoadClassifierOptions {
  /** Names of the classes of a new head; default the model's own. */
  labels?: readonly string[];
  /** Whether a classifier without trained weights is an error, as it is for everything but training. */
  trained: boolean;
  /** Where the name is an adapter's folder: the model below, in place of the one that the adapter names. */
  baseModel?: string | null;
  offline?: boolean;
}

/**
 * Loads a model for classification and its tokenizer, from a folder or the hub; either may also be a PEFT adapter, which is put
 * into the model it names.
 * @throws CommandError where weights are missing that nobody may make up, naming them
 */
export async function loadClassifier(
  device: Device,
  name: string,
  options: LoadClassifierOptions,
  ui: Ui,
): Promise<Classifier> {
  const place = existsSync(name)
    ? name
    : await resolveModel(name, { ...resolveOptions(options, ui), needs: "any" });
  if (isAdapterFolder(place)) return loadAdapted(device, place, options, ui);
  if (options.baseModel) {
    throw new UsageError(
      `--base-model is for an adapter's folder, but ${name} holds no adapter_config.json. Leave it out.`,
    );
  }
  const { model, info, folder, warning } = await loadWhole(device, name, options, ui);
  const tokenizer = await AutoTokenizer.fromPretrained(name, resolveOptions(options, ui));
  ui.done();
  checkMissing(folder, info.missingKeys, options.trained);
  if (warning) ui.note(warning);
  checkVocabulary(folder, tokenizer, model.config);
  const labels = Object.values(model.config.id2label);
  return { model, config: model.config, labels, tokenizer, folder };
}

/** The adapter of a folder in the model below it. */
async function loadAdapted(
  device: Device,
  folder: string,
  options: LoadClassifierOptions,
  ui: Ui,
): Promise<Classifier> {
  const { baseModelNameOrPath } = await PeftConfig.fromPretrained(folder);
  const base = options.baseModel ?? baseModelNameOrPath;
  if (!base) {
    throw new UsageError(
      `${folder}: adapter_config.json does not name the model below (base_model_name_or_path). Name it with --base-model.`,
    );
  }
  const labels = options.labels ?? (await labelsOfAdapter(folder));
  const loaded = await loadWhole(device, base, { ...options, ...(labels ? { labels } : {}) }, ui);
  const { model, info } = loaded;
  const peft = await PeftModel.fromPretrained(model, folder, { isTrainable: !options.trained });
  // What the adapter brings along need not be in the model's file.
  const brought = new Set(
    [...peft.adapterState().keys()].map((key) => key.replace(/^base_model\.model\./, "")),
  );
  const missingKeys = info.missingKeys.filter(
    (key) => !brought.has(key) && !brought.has(key.replace(/\.([^.]+)$/, ".modules_to_save.default.$1")),
  );
  const own = existsSync(join(folder, "tokenizer.json")) ? folder : base;
  const tokenizer = await AutoTokenizer.fromPretrained(own, resolveOptions(options, ui));
  ui.done();
  checkMissing(loaded.folder, missingKeys, options.trained);
  checkVocabulary(own, tokenizer, model.config);
  return {
    model: peft,
    config: model.config,
    labels: Object.values(model.config.id2label),
    tokenizer,
    folder,
  };
}

/** Names of the classes that an adapter was trained for: those of its run, else as many as its classifier has. */
async function labelsOfAdapter(folder: string): Promise<readonly string[] | null> {
  for (const path of [join(folder, "metrics.json"), join(folder, "..", "metrics.json")]) {
    if (!existsSync(path)) continue;
    const { labels } = await readJsonFile<{ labels?: string[] }>(path);
    if (labels) return labels;
  }
  await using reader = await openWeights(folder, "adapter_model");
  const head = [...reader.tensors].find(([name]) => /(^|\.)classifier\.weight$/.test(name));
  if (!head) return null;
  return Array.from({ length: head[1].shape[0]! }, (_, i) => `LABEL_${i}`);
}

function resolveOptions({ offline }: LoadClassifierOptions, ui: Ui): FromPretrainedOptions {
  return hubOptions(offline, ui);
}

async function loadWhole(device: Device, name: string, options: LoadClassifierOptions, ui: Ui) {
  let warning = "";
  const loaded = await AutoModelForSequenceClassification.fromPretrained(device, name, {
    ...resolveOptions(options, ui),
    ...(options.labels ? { labels: options.labels } : {}),
    onWarning: (message) => {
      warning = message;
    },
    onWeights: (done, total) => ui.status(`Loading ${name}: ${done} of ${total} weights`),
  });
  return { ...loaded, warning };
}

function checkVocabulary(folder: string, tokenizer: PreTrainedTokenizer, config: DistilBertConfig): void {
  if (tokenizer.fullVocabSize <= config.vocabSize) return;
  throw new CommandError(
    "E_VOCABULARY",
    `${folder}: the tokenizer has ${tokenizer.fullVocabSize} tokens, but the model embeds ${config.vocabSize}. tokenizer.json and config.json are not of the same model.`,
  );
}

function checkMissing(folder: string, missingKeys: readonly string[], trained: boolean): void {
  const encoder = missingKeys.filter((key) => !HEAD.test(key));
  if (encoder.length > 0) {
    throw new CommandError(
      "E_WEIGHTS_MISSING",
      `${folder}: the weights lack ${shorten(encoder)}, which config.json asks for. ` +
        "The file is damaged or of another model: download it again, or correct config.json.",
    );
  }
  if (trained && missingKeys.length > 0) {
    throw new CommandError(
      "E_WEIGHTS_MISSING",
      `${folder}: the weights lack ${shorten(missingKeys)}: this model has no trained classifier, and its answers would be chance. ` +
        "Fine-tune it first: wgrad train --model … --dataset …",
    );
  }
}

function shorten(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}

/** Tokens of an example where nobody says. */
const DEFAULT_LENGTH = 128;

/**
 * Tokens that an example may have.
 * @param given null for the default: 128, or the model's positions if those are fewer
 * @throws UsageError if it is more than the model's positions
 */
export function chooseMaxLength(
  given: number | null,
  model: { readonly config: { readonly maxPositionEmbeddings: number } },
  fallback = DEFAULT_LENGTH,
): number {
  const limit = model.config.maxPositionEmbeddings;
  if (given === null) return Math.min(fallback, limit);
  if (given > limit) {
    throw new UsageError(
      `--max-length is ${given}, but the model has ${limit} positions. Use ${limit} or less.`,
    );
  }
  if (given < 3) {
    throw new UsageError(
      `--max-length is ${given}: with [CLS] and [SEP] no room is left for a text. Use 3 or more.`,
    );
  }
  return given;
}
