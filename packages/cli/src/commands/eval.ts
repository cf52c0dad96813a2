import {
  argmaxRows,
  classificationMetrics,
  confusionMatrix,
  dataCollatorWithPadding,
  Trainer,
} from "@wgrad/trainer";
import { withDevice } from "../device.js";
import { CommandError } from "../errors.js";
import { wholeNumber } from "../numbers.js";
import { classificationReport, formatClassificationReport } from "../text/classification-report.js";
import {
  labelColumnOf,
  openDataset,
  remarks,
  takeSplit,
  textColumnOf,
  tokenizeSplit,
} from "../training/data.js";
import { chooseMaxLength, loadClassifier } from "../training/load.js";
import { machine } from "../training/monitor.js";
import { formatSeconds } from "../ui.js";
import { examples, type Verb } from "../verb.js";

interface Flags {
  json?: boolean;
  model: string;
  baseModel?: string;
  dataset: string;
  split: string;
  textColumn?: string;
  labelColumn?: string;
  maxLength?: number;
  batchSize: number;
  subset?: number;
  seed: number;
  digits: number;
  offline?: boolean;
}

/** `wgrad eval`. */
export const evaluate: Verb = {
  define(command, context) {
    command
      .requiredOption("--model <dir>", "folder or hub id of a fine-tuned model, or folder of an adapter")
      .option("--base-model <dir>", "model below an adapter (default: what adapter_config.json names)")
      .requiredOption("--dataset <path>", "folder, file or hub id of the data: Parquet, CSV or JSON lines")
      .option("--split <name>", "split to measure on", "test")
      .option("--text-column <name>", "column of the texts")
      .option("--label-column <name>", "column of the classes")
      .option(
        "--max-length <n>",
        "tokens of an example; longer texts are cut (default: 128, or the model's positions)",
        wholeNumber(1),
      )
      .option("--batch-size <n>", "examples a forward pass", wholeNumber(1), 16)
      .option("--subset <n>", "use this many examples, drawn with the seed", wholeNumber(1))
      .option("--seed <n>", "seed of the subset", wholeNumber(0), 42)
      .option("--digits <n>", "digits of the report", wholeNumber(0), 4)
      .option("--offline", "never touch the network")
      .addHelpText(
        "after",
        examples([
          ["wgrad eval --model runs/my-run --dataset data/rotten_tomatoes", "the test split"],
          ["wgrad eval --model runs/my-run --dataset data --split validation --json", "for a program"],
        ]),
      )
      .action(async (flags: Flags) => {
        const ui = context.ui(flags);
        const splits = await openDataset(flags.dataset, { offline: flags.offline ?? false, ui });
        const rows = takeSplit(splits, flags.split, flags.subset ?? null, flags.seed);
        const textColumn = textColumnOf(rows, flags.textColumn ?? null);
        const labelColumn = labelColumnOf(rows, flags.labelColumn ?? null);
        await withDevice({}, async (device) => {
          const classifier = await loadClassifier(
            device,
            flags.model,
            { trained: true, offline: flags.offline ?? false, baseModel: flags.baseModel ?? null },
            ui,
          );
          const maxLength = chooseMaxLength(flags.maxLength ?? null, classifier);
          const { model, tokenizer, labels } = classifier;
          const split = tokenizeSplit(
            rows,
            { textColumn, labelColumn, labels, tokenizer, maxLength, needsLabels: false },
            ui,
          );
          for (const line of remarks(flags.split, split, maxLength)) ui.note(line);
          const progress = ui.progress("Evaluating", Math.ceil(split.examples.numRows / flags.batchSize));
          const trainer = new Trainer({
            model,
            args: { perDeviceEvalBatchSize: flags.batchSize },
            dataCollator: dataCollatorWithPadding(tokenizer, { padToMultipleOf: 8 }),
            computeMetrics: classificationMetrics,
            callbacks: [{ onPredictionStep: ({ batch }) => progress.update(batch) }],
          });
          const { predictions, labelIds, numLabels, metrics } = await trainer.predict(split.examples, "eval");
          progress.finish();
          if (!labelIds) {
            throw new CommandError(
              "E_LABEL_RANGE",
              `${rows.name}: every ${labelColumn} is -1, "no label": there is nothing to compare with. Use wgrad predict.`,
            );
          }
          const confusion = confusionMatrix(labelIds, argmaxRows(predictions, numLabels), numLabels);
          const report = classificationReport(confusion, labels);
          ui.result(formatClassificationReport(report, flags.digits));
          ui.result(
            `\n${labelIds.length} examples of ${rows.name}, loss ${metrics.eval_loss!.toFixed(4)}, in ${formatSeconds(metrics.eval_runtime!)} on ${device.description}`,
          );
          ui.document({
            model: flags.model,
            dataset: flags.dataset,
            split: flags.split,
            metrics,
            report,
            confusion,
            machine: machine(device),
          });
        });
      });
  },
};
