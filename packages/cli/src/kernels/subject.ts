import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dataset } from "@wgrad/datasets";
import { distilBertConfig } from "@wgrad/models";
import { AutoModelForSequenceClassification, AutoTokenizer } from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { type Device, manualSeed } from "@wgrad/tensor";
import { type Example, type TrainableModel, type TrainingArguments, trainingArguments } from "@wgrad/trainer";
import { grammarVocabulary, makeSentimentDataset, sentimentLabels } from "../quickstart/grammar.js";
import { writeWordPieceTokenizer } from "../quickstart/tokenizer.js";
import { type BatchSettings, tokenizeSplit } from "../training/data.js";
import { prepareTraining, readRecipe } from "../training/prepare.js";
import { makeRecipe } from "../training/settings.js";
import type { Ui } from "../ui.js";

/** A training that can be begun any number of times. */
export interface Subject {
  /** One line for people. */
  readonly title: string;
  readonly tokenizer: PreTrainedTokenizer;
  readonly train: Dataset<Example>;
  readonly args: Readonly<TrainingArguments>;
  readonly batches: BatchSettings;
  /** A model with the same weights every time. */
  fresh(): Promise<TrainableModel>;
}

const MAX_LENGTH = 64;
const SEED = 42;

/** The training of a recipe; without one the quickstart's model and data. */
export async function subjectOf(device: Device, recipeFile: string | undefined, ui: Ui): Promise<Subject> {
  if (recipeFile === undefined) return quickstartSubject(device, ui);
  const recipe = makeRecipe(await readRecipe(recipeFile));
  const { settings, args } = recipe;
  const prepared = await prepareTraining(device, recipe, { offline: false, trainOnly: true }, ui);
  prepared.model.dispose();
  const { tokenizer, train, fresh } = prepared;
  return { title: recipeFile, tokenizer, train, args, batches: settings, fresh };
}

/** Two layers of 64 on sentences of the quickstart's grammar. */
async function quickstartSubject(device: Device, ui: Ui): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), "wgrad-ab-"));
  try {
    const vocabSize = writeWordPieceTokenizer(folder, grammarVocabulary(), MAX_LENGTH);
    const tokenizer = await AutoTokenizer.fromPretrained(folder);
    const splits = makeSentimentDataset({ train: 1024, validation: 2, test: 2 });
    const options = { textColumn: "text", labelColumn: "label", labels: sentimentLabels, tokenizer };
    const { examples } = tokenizeSplit(
      splits.get("train") as never,
      { ...options, maxLength: MAX_LENGTH, needsLabels: true },
      ui,
    );
    const sizes = { dim: 64, n_layers: 2, n_heads: 4, hidden_dim: 256, max_position_embeddings: MAX_LENGTH };
    const noDropout = { dropout: 0, attention_dropout: 0, seq_classif_dropout: 0 };
    const config = distilBertConfig(
      { ...sizes, ...noDropout, initializer_range: 0.06, vocab_size: vocabSize },
      sentimentLabels,
    );
    return {
      title: "the quickstart's model and data",
      tokenizer,
      train: examples,
      args: trainingArguments({
        perDeviceTrainBatchSize: 32,
        learningRate: 2e-3,
        warmupSteps: 100,
        seed: SEED,
      }),
      batches: { paddingFree: true, padToMultipleOf: null },
      fresh: async () => {
        manualSeed(device, SEED);
        return AutoModelForSequenceClassification.fromConfig(device, config);
      },
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
