/**
 * The lab `imdb-scratch`: the same classifier from random weights and from pretrained ones, trained by a loop of one's own.
 * `model.ts` and `loop.ts` are the example of how to write both; this file loads, prints and saves.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DistilBertModel } from "@wgrad/models";
import { AutoConfig, AutoTokenizer, fromConfig, fromPretrained, writeFileAtomic } from "@wgrad/models/node";
import { type Device, manualSeed } from "@wgrad/tensor";
import { dataCollatorWithFlattening } from "@wgrad/trainer";
import { withDevice } from "../../device.js";
import { EXIT, UsageError } from "../../errors.js";
import { lineChart, sideBySide } from "../../report/charts.js";
import { formatRow } from "../../text/table.js";
import {
  labelColumnOf,
  labelNamesOf,
  openDataset,
  remarks,
  takeSplit,
  textColumnOf,
  tokenizeSplit,
} from "../../training/data.js";
import { machine } from "../../training/monitor.js";
import { formatSeconds } from "../../ui.js";
import type { Lab, LabContext } from "../lab.js";
import { type EpochFigures, trainLoop } from "./loop.js";
import { SentimentClassifier } from "./model.js";
import { finishedEpochs, type Settings, type Split, STARTS, type Start, saveRun } from "./save.js";

export const lab: Lab = {
  name: "imdb-scratch",
  summary: "random against pretrained weights, with a model and a training loop written by hand",
  settings: [
    {
      name: "model",
      kind: "text",
      help: "folder or hub id: its weights, and its config for the random start",
    },
    { name: "dataset", kind: "text", help: "folder, file (CSV, JSONL, Parquet) or hub id with two classes" },
    { name: "textColumn", kind: "text", help: "column of the texts (default: text, review or the only one)" },
    {
      name: "labelColumn",
      kind: "text",
      help: "column of the classes (default: label, sentiment or the only one)",
    },
    {
      name: "subset",
      kind: "number",
      help: "examples to train on, and at most so many to evaluate on",
      default: 2000,
    },
    { name: "maxLength", kind: "number", help: "tokens of an example; longer texts are cut", default: 128 },
    { name: "numTrainEpochs", kind: "number", help: "passes over the training data", default: 4 },
    { name: "perDeviceTrainBatchSize", kind: "number", help: "examples a step", default: 16 },
    { name: "learningRate", kind: "number", help: "of AdamW, constant", default: 5e-5 },
    { name: "dropout", kind: "number", help: "share of [CLS] left out before the classifier", default: 0.3 },
    { name: "seed", kind: "number", help: "of the subset, the order, new weights and dropout", default: 42 },
    { name: "outputDir", kind: "text", help: "folder of both runs", default: "runs/imdb-scratch" },
  ],
  examples: [
    [
      "wgrad lab imdb-scratch --model distilbert-base-uncased --dataset IMDB.csv",
      "2,000 reviews, both starts",
    ],
    ["wgrad lab imdb-scratch --model my-model --dataset data --subset 64 --num-train-epochs 1", "see it run"],
  ],
  run: (context) => withDevice({}, (device) => runLab(device, context)),
};

async function runLab(device: Device, context: LabContext): Promise<unknown> {
  const { ui, offline } = context;
  const settings = context.settings as unknown as Settings;
  ui.note(`Adapter: ${device.description}`);
  const tokenizer = await AutoTokenizer.fromPretrained(settings.model, { offline });
  const { train, validation, labels } = await loadSplits(settings, tokenizer, context);
  const collate = dataCollatorWithFlattening(tokenizer);
  const runs: Record<string, { epochs: EpochFigures[]; folder: string }> = {};
  let isStopped = false;
  ui.onInterrupt(() => {
    isStopped = true;
    ui.onInterrupt(null);
    ui.note("Interrupted: stopping after this step. Ctrl-C again leaves at once.");
  });
  for (const start of STARTS) {
    if (isStopped) break;
    const folder = join(settings.outputDir, start);
    const finished = context.resume ? await finishedEpochs(folder) : null;
    if (finished) {
      ui.result(`\n${start} weights: trained before (${folder})`);
      runs[start] = { epochs: finished, folder };
      continue;
    }
    await mkdir(folder, { recursive: true });
    const model = await makeModel(device, start, settings, offline);
    const parameters = model.numParameters();
    ui.result(`\n${start} weights: ${parameters.toLocaleString("en-US")} parameters`);
    const stepsPerEpoch = Math.ceil(train.texts.length / settings.perDeviceTrainBatchSize);
    const progress = ui.progress(`Training (${start})`, settings.numTrainEpochs * stepsPerEpoch);
    const log: Record<string, number>[] = [];
    const began = performance.now();
    const output = await trainLoop(model, {
      train: train.examples,
      validation: validation.examples,
      collate,
      epochs: settings.numTrainEpochs,
      batchSize: settings.perDeviceTrainBatchSize,
      learningRate: settings.learningRate,
      seed: settings.seed,
      isStopped: () => isStopped,
      onStep: (step) => progress.update(step),
      onEpoch: async (figures) => {
        if (log.length === 0) ui.result(formatRow(HEADER, WIDTHS));
        ui.result(epochRow(figures));
        const at = { step: figures.step, epoch: figures.epoch };
        log.push(
          { ...at, loss: figures.trainLoss, train_accuracy: figures.trainAccuracy },
          { ...at, eval_loss: figures.validationLoss, eval_accuracy: figures.validationAccuracy },
        );
        await writeFileAtomic(
          join(folder, "log.jsonl"),
          log.map((entry) => `${JSON.stringify(entry)}\n`).join(""),
        );
      },
    });
    progress.finish();
    runs[start] = { epochs: output.epochs, folder };
    if (output.epochs.length > 0) {
      const seconds = (performance.now() - began) / 1000;
      await saveRun(model, {
        start,
        settings,
        folder,
        output,
        seconds,
        parameters,
        validation,
        labels,
        collate,
      });
    }
    model.dispose();
  }
  ui.onInterrupt(null);
  if (isStopped) {
    context.exit(EXIT.interrupted);
    ui.result("\nStopped. What was finished is saved; go on with the other: --resume");
    return { interrupted: true, runs };
  }
  const picture = join(settings.outputDir, "curves.svg");
  await writeFileAtomic(picture, drawCurves(runs));
  ui.result(
    `\nBoth curves: ${picture}\nSide by side: wgrad compare ${STARTS.map((s) => join(settings.outputDir, s)).join(" ")}`,
  );
  return { interrupted: false, runs, picture, machine: machine(device) };
}

/** The splits, tokenized: training, and validation (a tenth of the training data where there is none). */
async function loadSplits(
  settings: Settings,
  tokenizer: Awaited<ReturnType<typeof AutoTokenizer.fromPretrained>>,
  { ui, offline }: LabContext,
): Promise<{ train: Split; validation: Split; labels: string[] }> {
  const splits = await openDataset(settings.dataset, { offline, ui });
  const whole = splits.get("train");
  const textColumn = textColumnOf(whole, settings.textColumn ?? null);
  const labelColumn = labelColumnOf(whole, settings.labelColumn ?? null);
  const labels = labelNamesOf(whole, labelColumn);
  if (labels.length !== 2) {
    throw new UsageError(
      `${whole.name}: ${labelColumn} has ${labels.length} classes (${labels.slice(0, 6).join(", ")}); this lab's classifier tells two apart.`,
    );
  }
  const held = ["validation", "test"].find((split) => splits.has(split));
  const parts = held ? splits : whole.trainTestSplit({ testSize: 0.1, seed: settings.seed });
  const take = (split: string): Split => {
    const rows = takeSplit(parts, split, settings.subset, settings.seed);
    const { maxLength } = settings;
    const tokenized = tokenizeSplit(
      rows,
      { textColumn, labelColumn, labels, tokenizer, maxLength, needsLabels: true },
      ui,
    );
    for (const line of remarks(split, tokenized, maxLength)) ui.note(line);
    return { texts: Array.from(rows.column(textColumn) as ArrayLike<string>), examples: tokenized.examples };
  };
  const train = take("train");
  const validation = take(held ?? "test");
  ui.note(
    `Data: ${settings.dataset}: train ${train.texts.length}, validation ${validation.texts.length}; classes ${labels.join(", ")}`,
  );
  return { train, validation, labels };
}

/** The classifier on pretrained weights, or on random ones of the same config. The seed makes both the same each time. */
async function makeModel(device: Device, start: Start, settings: Settings, offline: boolean) {
  manualSeed(device, settings.seed);
  const base =
    start === "pretrained"
      ? (await fromPretrained(DistilBertModel, device, settings.model, { offline })).model
      : fromConfig(
          DistilBertModel,
          device,
          await AutoConfig.fromPretrained(settings.model, { offline, modelType: "distilbert" }),
        );
  return new SentimentClassifier(base, { dropout: settings.dropout });
}

const HEADER = ["epoch", "train loss", "train acc", "val loss", "val acc", "time"];
const WIDTHS = HEADER.map((name) => Math.max(name.length, 8));

/** One line of the table of epochs. */
function epochRow(f: EpochFigures): string {
  const numbers = [f.trainLoss, f.trainAccuracy, f.validationLoss, f.validationAccuracy];
  return formatRow([String(f.epoch), ...numbers.map((n) => n.toFixed(4)), formatSeconds(f.seconds)], WIDTHS);
}

/** Loss and accuracy of both starts, training and validation, in one picture. */
function drawCurves(runs: Readonly<Record<string, { epochs: readonly EpochFigures[] }>>): string {
  const series = (train: keyof EpochFigures, validation: keyof EpochFigures) =>
    Object.entries(runs).flatMap(([start, { epochs }]) => [
      {
        name: `${start}, training`,
        points: epochs.map((e) => [e.epoch, e[train]] as [number, number]),
        dash: true,
      },
      {
        name: `${start}, validation`,
        points: epochs.map((e) => [e.epoch, e[validation]] as [number, number]),
      },
    ]);
  return sideBySide([
    lineChart({
      title: "Loss",
      xLabel: "epoch",
      yLabel: "binary cross entropy",
      series: series("trainLoss", "validationLoss"),
    }),
    lineChart({
      title: "Accuracy",
      xLabel: "epoch",
      yLabel: "share right",
      series: series("trainAccuracy", "validationAccuracy"),
    }),
  ]);
}
