import { existsSync } from "node:fs";
import { join } from "node:path";
import { type DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AutoModelForSequenceClassification, AutoTokenizer } from "@wgrad/models/node";
import { type Device, manualSeed } from "@wgrad/tensor";
import { trainingArguments } from "@wgrad/trainer";
import { stringify } from "yaml";
import { withDevice } from "../device.js";
import { EXIT } from "../errors.js";
import { wholeNumber } from "../numbers.js";
import { BagOfWords } from "../quickstart/baseline.js";
import { grammarVocabulary, sentimentLabels, writeSentimentDataset } from "../quickstart/grammar.js";
import { writeWordPieceTokenizer } from "../quickstart/tokenizer.js";
import { tokenizeSplit } from "../training/data.js";
import { runTraining } from "../training/run.js";
import { makeRecipe, recipeToJson } from "../training/settings.js";
import { formatSeconds } from "../ui.js";
import { examples, type Verb } from "../verb.js";
import { predictTexts } from "./predict.js";

interface Flags {
  json?: boolean;
  outputDir: string;
  seed: number;
}

/** The small DistilBERT that is trained from nothing. Measured: see the package's README. */
const MODEL = {
  dim: 64,
  n_layers: 2,
  n_heads: 4,
  hidden_dim: 256,
  max_position_embeddings: 64,
  initializer_range: 0.06,
  dropout: 0,
  attention_dropout: 0,
  seq_classif_dropout: 0,
};
const MAX_LENGTH = 64;
const RECIPE = {
  numTrainEpochs: 6,
  perDeviceTrainBatchSize: 32,
  perDeviceEvalBatchSize: 64,
  learningRate: 2e-3,
  weightDecay: 0.01,
  warmupSteps: 100,
  lrSchedulerType: "linear" as const,
  loggingSteps: 47,
  evalStrategy: "epoch" as const,
  saveStrategy: "epoch" as const,
  saveTotalLimit: 1,
};
const SENTENCES = [
  "the acting is not dull .",
  "although the music is wonderful , the plot is a mess of cliches .",
  "nobody could call the ending predictable .",
];

/** `wgrad quickstart`. */
export const quickstart: Verb = {
  define(command, context) {
    command
      .description(
        "Writes a small sentiment data set from a seeded grammar, fine-tunes a small DistilBERT on it and shows what to do next.",
      )
      .option("--output-dir <dir>", "folder of the data, the model and the results", "runs/quickstart")
      .option("--seed <n>", "seed of the weights, dropout and the order of the data", wholeNumber(0), 42)
      .addHelpText("after", examples([["wgrad quickstart", "everything, in minutes"]]))
      .action(async (flags: Flags) => {
        const ui = context.ui(flags);
        const began = performance.now();
        const dataFolder = join(flags.outputDir, "data");
        const modelFolder = join(flags.outputDir, "model");
        const splits = writeSentimentDataset(dataFolder);
        const vocabulary = grammarVocabulary();
        const vocabSize = writeWordPieceTokenizer(join(flags.outputDir, "tokenizer"), vocabulary, MAX_LENGTH);
        const { train, validation, test } = splits.numRows;
        ui.result(
          `Data: ${dataFolder}: ${train} sentences to train on, ${validation} to validate, ${test} to test (${sentimentLabels.join(", ")})`,
        );
        const column = (split: string, name: string) => splits.get(split).column(name);
        const texts = (split: string) => Array.from(column(split, "text") as ArrayLike<string>);
        const labels = (split: string) => column(split, "label") as Int32Array;
        const baseline = BagOfWords.train(texts("train"), labels("train"));
        const baselineAccuracy = baseline.accuracy(texts("test"), labels("test"));
        ui.result(
          `A bag of words (logistic regression) gets ${percent(baselineAccuracy)} of the test split right: what counts here is how words combine.`,
        );
        await withDevice({}, async (device) => {
          ui.note(`Adapter: ${device.description}`);
          const tokenizer = await AutoTokenizer.fromPretrained(join(flags.outputDir, "tokenizer"));
          const model = makeModel(device, vocabSize, flags.seed);
          ui.result(
            `Model: DistilBERT with ${MODEL.n_layers} layers of ${MODEL.dim}, ${model.numParameters().toLocaleString("en-US")} parameters, from random weights\n`,
          );
          const tokenized = Object.fromEntries(
            splits.splits.map((split) => {
              const options = {
                textColumn: "text",
                labelColumn: "label",
                labels: sentimentLabels,
                tokenizer,
                maxLength: MAX_LENGTH,
                needsLabels: true,
              };
              return [split, tokenizeSplit(splits.get(split) as never, options, ui).examples];
            }),
          );
          const args = trainingArguments({ ...RECIPE, outputDir: modelFolder, seed: flags.seed });
          const columns = { textColumn: "text", labelColumn: "label" };
          const names = { model: modelFolder, dataset: dataFolder, maxLength: MAX_LENGTH };
          const { settings } = makeRecipe({ ...names, ...columns });
          const result = await runTraining(
            {
              lab: "quickstart",
              model,
              tokenizer,
              labels: sentimentLabels,
              args,
              batches: settings,
              train: tokenized.train!,
              validation: tokenized.validation!,
              test: tokenized.test!,
              resume: false,
              recipe: `# The settings of wgrad quickstart.\n${stringify(recipeToJson({ settings, args }))}`,
            },
            ui,
          );
          if (result.interrupted) return context.exit(EXIT.interrupted);
          const accuracy = result.test?.test_accuracy ?? 0;
          ui.result(`\nTest accuracy: ${percent(accuracy)}; bag of words: ${percent(baselineAccuracy)}\n`);
          const predictions = await predictTexts(
            { model, tokenizer, config: model.config },
            SENTENCES,
            { batchSize: 8 },
            ui,
          );
          for (const { label, probability, text } of predictions)
            ui.result(`  ${label}  ${probability.toFixed(3)}  ${text}`);
          ui.result(nextSteps(modelFolder, dataFolder, (performance.now() - began) / 1000));
          ui.document({
            ...result,
            baseline_accuracy: baselineAccuracy,
            predictions,
            seconds: (performance.now() - began) / 1000,
          });
        });
      });
  },
};

function makeModel(device: Device, vocabSize: number, seed: number): DistilBertForSequenceClassification {
  manualSeed(device, seed);
  const config = distilBertConfig({ ...MODEL, vocab_size: vocabSize }, sentimentLabels);
  return AutoModelForSequenceClassification.fromConfig(device, config);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

function nextSteps(model: string, data: string, seconds: number): string {
  const wgrad = existsSync("node_modules/.bin/wgrad") ? "npx wgrad" : "wgrad";
  return `
Done in ${formatSeconds(seconds)}. What to try next:
  ${wgrad} predict --model ${model} "the pacing is anything but dull ."
  ${wgrad} eval --model ${model} --dataset ${data}
  ${wgrad} inspect ${data}
Pictures in place of sentences, a small CLIP from random weights, also without a download:
  ${wgrad} lab clip-shapes
The real thing, DistilBERT on Rotten Tomatoes, both from the hub (or --model and --dataset with folders of your own):
  ${wgrad} lab                       # the labs: look at the data, features and SVMs, fine-tuning, LoRA, …
  ${wgrad} lab finetune --subset 64  # see one run, then leave --subset out`;
}
