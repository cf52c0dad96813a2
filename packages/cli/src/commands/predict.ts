import { Dataset } from "@wgrad/datasets";
import { argmaxRows, dataCollatorWithPadding, type Example, Trainer } from "@wgrad/trainer";
import { withDevice } from "../device.js";
import { UsageError } from "../errors.js";
import { wholeNumber } from "../numbers.js";
import { type Classifier, chooseMaxLength, loadClassifier } from "../training/load.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";

interface Flags {
  json?: boolean;
  model: string;
  baseModel?: string;
  maxLength?: number;
  batchSize: number;
  offline?: boolean;
}

/** What the model says of one text. */
export interface Prediction {
  text: string;
  label: string;
  /** Of the label. */
  probability: number;
  /** Of every class. */
  probabilities: Record<string, number>;
}

/** `wgrad predict`. */
export const predict: Verb = {
  define(command, context) {
    command
      .argument("[text...]", "texts; without any, lines of stdin")
      .requiredOption("--model <dir>", "folder or hub id of a fine-tuned model, or folder of an adapter")
      .option("--base-model <dir>", "model below an adapter (default: what adapter_config.json names)")
      .option("--max-length <n>", "tokens of a text (default: the model's positions)", wholeNumber(1))
      .option("--batch-size <n>", "texts a forward pass", wholeNumber(1), 16)
      .option("--offline", "never touch the network")
      .addHelpText(
        "after",
        examples([
          ['wgrad predict --model runs/my-run "a gripping, clever film"', "one text"],
          ["wgrad predict --model runs/my-run < reviews.txt", "one text a line"],
          ["wgrad predict --model runs/my-run --json < reviews.txt", "with the probability of every class"],
        ]),
      )
      .action(async (given: string[], flags: Flags) => {
        const ui = context.ui(flags);
        const texts = given.length > 0 ? checkTexts(given) : await readLines(ui);
        await withDevice({}, async (device) => {
          const classifier = await loadClassifier(
            device,
            flags.model,
            { trained: true, offline: flags.offline ?? false, baseModel: flags.baseModel ?? null },
            ui,
          );
          const predictions = await predictTexts(classifier, texts, flags, ui);
          for (const { text, label, probability } of predictions)
            ui.result(`${label}\t${probability.toFixed(4)}\t${text}`);
          ui.document(predictions);
        });
      });
  },
};

function checkTexts(texts: readonly string[]): string[] {
  const empty = texts.findIndex((text) => text.trim() === "");
  if (empty >= 0) throw new UsageError(`text ${empty + 1} is empty: there is nothing to classify.`);
  return [...texts];
}

/** Lines of stdin; empty ones are passed over. */
async function readLines(ui: Ui): Promise<string[]> {
  if (process.stdin.isTTY)
    throw new UsageError(
      'no text: give some, as in wgrad predict --model … "a fine film", or pipe lines into stdin.',
    );
  process.stdin.setEncoding("utf8");
  let all = "";
  for await (const piece of process.stdin) all += piece as string;
  const lines = all.replace(/\r?\n$/, "").split(/\r?\n/);
  const texts = lines.filter((line) => line.trim() !== "");
  if (texts.length === 0) throw new UsageError("stdin holds no text: one text a line is expected.");
  if (texts.length < lines.length)
    ui.note(`${lines.length - texts.length} empty lines of ${lines.length} were passed over.`);
  return texts;
}

/** Classifies texts. Those longer than the model reads are cut, with a remark. */
export async function predictTexts(
  { model, tokenizer, config }: Pick<Classifier, "model" | "tokenizer" | "config">,
  texts: readonly string[],
  options: { maxLength?: number; batchSize: number },
  ui: Ui,
): Promise<Prediction[]> {
  const maxLength = chooseMaxLength(options.maxLength ?? null, { config }, config.maxPositionEmbeddings);
  const whole = texts.map((text) => tokenizer.encode(text, { truncation: false }).length);
  const long = whole.flatMap((length, i) => (length > maxLength ? [i] : []));
  if (long.length > 0) {
    const first = `text ${long[0]! + 1} has ${whole[long[0]!]} tokens`;
    ui.note(
      `${first}${long.length > 1 ? ` and ${long.length - 1} more are too long` : ""}; only the first ${maxLength} are read.`,
    );
  }
  const inputIds = tokenizer(texts, { truncation: true, maxLength }).inputIds.map((ids) =>
    Int32Array.from(ids),
  );
  const dataset = Dataset.fromDict<Example>({ inputIds }, undefined, "the texts");
  const progress = ui.progress("Predicting", Math.ceil(texts.length / options.batchSize));
  const trainer = new Trainer({
    model,
    args: { perDeviceEvalBatchSize: options.batchSize },
    dataCollator: dataCollatorWithPadding(tokenizer, { padToMultipleOf: 8 }),
    callbacks: [{ onPredictionStep: ({ batch }) => progress.update(batch) }],
  });
  const { predictions, numLabels } = await trainer.predict(dataset);
  progress.finish();
  const labels = config.id2label;
  const best = argmaxRows(predictions, numLabels);
  return texts.map((text, i) => {
    const probabilities = softmax(predictions.subarray(i * numLabels, (i + 1) * numLabels));
    return {
      text,
      label: labels[best[i]!]!,
      probability: probabilities[best[i]!]!,
      probabilities: Object.fromEntries(probabilities.map((p, c) => [labels[c]!, p])),
    };
  });
}

function softmax(logits: Float32Array): number[] {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (x) => Math.exp(x - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}
