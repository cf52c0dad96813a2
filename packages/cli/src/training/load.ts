import type { DistilBertForSequenceClassification, LoadingInfo } from "@wgrad/models";
import type { FromPretrainedOptions } from "@wgrad/models/node";
import { AutoModelForSequenceClassification, AutoTokenizer } from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import type { Device } from "@wgrad/tensor";
import { CommandError, UsageError } from "../errors.js";
import { formatBytes, type Ui } from "../ui.js";

/** A classifier and its tokenizer. */
export interface Classifier {
  model: DistilBertForSequenceClassification;
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
  offline?: boolean;
}

/**
 * Loads a model for classification and its tokenizer, from a folder or the hub.
 * @throws CommandError where weights are missing that nobody may make up, naming them
 */
export async function loadClassifier(
  device: Device,
  name: string,
  options: LoadClassifierOptions,
  ui: Ui,
): Promise<Classifier> {
  const resolve: FromPretrainedOptions = {
    ...(options.offline ? { offline: true } : {}),
    onProgress: (p) =>
      ui.status(
        `Downloading ${p.file} (${p.index} of ${p.count}): ${formatBytes(p.loaded)} of ${formatBytes(p.total)}`,
      ),
  };
  const tokenizer = await AutoTokenizer.fromPretrained(name, resolve);
  let warning = "";
  const { model, info, folder } = await AutoModelForSequenceClassification.fromPretrained(device, name, {
    ...resolve,
    ...(options.labels ? { labels: options.labels } : {}),
    onWarning: (message) => {
      warning = message;
    },
    onWeights: (done, total) => ui.status(`Loading ${name}: ${done} of ${total} weights`),
  });
  ui.done();
  checkMissing(folder, info, options.trained);
  if (warning) ui.note(warning);
  if (tokenizer.fullVocabSize > model.config.vocabSize) {
    throw new CommandError(
      "E_VOCABULARY",
      `${folder}: the tokenizer has ${tokenizer.fullVocabSize} tokens, but the model embeds ${model.config.vocabSize}. tokenizer.json and config.json are not of the same model.`,
    );
  }
  return { model, tokenizer, folder };
}

function checkMissing(folder: string, { missingKeys }: LoadingInfo, trained: boolean): void {
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
