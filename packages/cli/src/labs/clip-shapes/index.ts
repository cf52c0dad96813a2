/**
 * The lab `clip-shapes`: a small CLIP from random weights on drawn shapes, and what it makes of colours and forms that it has never
 * seen together. It needs no download. This file puts the parts together; `shapes.ts` says what the data are.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AutoProcessor, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { type TrainingArguments, toSnakeCase, trainingArguments } from "@wgrad/trainer";
import { stringify } from "yaml";
import { withDevice } from "../../device.js";
import { EXIT, UsageError } from "../../errors.js";
import { writeMetrics, writePredictions } from "../../runs/run-folder.js";
import { guardOutputDir, trainMonitored } from "../../training/run.js";
import { flagOf, type Setting, settingsNamed } from "../../training/settings.js";
import { formatCount, formatSeconds } from "../../ui.js";
import type { Lab, LabContext } from "../lab.js";
import { makeShapesDataset, Pictures, type ShapesDataset } from "./dataset.js";
import { IMAGE_SIZE, MAX_LENGTH, makeModel, PREPROCESSOR } from "./model.js";
import {
  ATTRIBUTES,
  allCaptions,
  COMBINATIONS,
  combinationOf,
  descriptionOf,
  descriptionsOf,
  NUM_COMBINATIONS,
  NUM_DESCRIPTIONS,
} from "./shapes.js";
import { drawAnswers, drawExamples, saveDataset, saveSome } from "./show.js";
import { writeClipTokenizer } from "./tokenizer.js";
import { ShapesTrainer, shapesCollator } from "./trainer.js";
import { formatZeroShot, predictionsOf, zeroShotMetrics } from "./zero-shot.js";

interface Settings {
  picturesPerDescription: number;
  evaluationPictures: number;
  savePictures: boolean;
}

/** Measured for three seeds: see bench/results/clip-shapes-*.json. */
const DEFAULTS: Partial<TrainingArguments> = {
  outputDir: "runs/clip-shapes",
  numTrainEpochs: 5,
  perDeviceTrainBatchSize: 64,
  perDeviceEvalBatchSize: 72,
  learningRate: 1e-3,
  weightDecay: 0.1,
  adamBeta2: 0.98,
  warmupSteps: 50,
  loggingSteps: 45,
  saveTotalLimit: 1,
};

const TRAINING = settingsNamed(
  ...["outputDir", "numTrainEpochs", "maxSteps", "perDeviceTrainBatchSize", "perDeviceEvalBatchSize"],
  ...["learningRate", "weightDecay", "adamBeta2", "warmupSteps", "lrSchedulerType", "maxGradNorm", "capture"],
  ...[
    "loggingSteps",
    "evalStrategy",
    "evalSteps",
    "saveStrategy",
    "saveSteps",
    "saveTotalLimit",
    "reportTo",
    "seed",
  ],
);

const DATA = "Data:";
const OWN: readonly Setting[] = [
  {
    name: "picturesPerDescription",
    kind: "number",
    group: DATA,
    help: "training pictures of each colour, form, size and position",
    default: 20,
  },
  {
    name: "evaluationPictures",
    kind: "number",
    group: DATA,
    help: "pictures to validate on, and pictures of held-out combinations to test on",
    default: 432,
  },
  {
    name: "savePictures",
    kind: "boolean",
    group: DATA,
    help: "write all pictures and captions as Parquet, in data/ of the output folder",
    default: false,
  },
];

export const lab: Lab = {
  name: "clip-shapes",
  summary: "train a small CLIP from nothing on drawn shapes, and ask it about combinations it has not seen",
  settings: [
    ...OWN,
    ...TRAINING.map((setting) => {
      const own = DEFAULTS[setting.name as keyof TrainingArguments];
      return own === undefined ? setting : { ...setting, default: own };
    }),
  ],
  examples: [
    ["wgrad lab clip-shapes", "everything, in minutes; needs no download"],
    ["wgrad lab clip-shapes --num-train-epochs 1", "see it run"],
    ["wgrad lab clip-shapes --save-pictures", "also keep the data set, to look at it: wgrad inspect"],
    ["wgrad lab clip-shapes runs/clip-shapes/recipe.yaml --resume", "go on after Ctrl-C"],
  ],
  run: runLab,
};

async function runLab(context: LabContext): Promise<unknown> {
  const { ui, resume } = context;
  const { settings, args } = readSettings(context.settings);
  const folder = args.outputDir;
  await guardOutputDir(folder, { resume: Boolean(resume), overwrite: context.overwrite });
  await mkdir(folder, { recursive: true });
  const began = performance.now();

  const data = makeShapesDataset({ seed: args.seed, ...settings });
  const pictures = new Pictures({ side: IMAGE_SIZE, seed: args.seed });
  const sheet = join(folder, "examples.png");
  await writeFileAtomic(sheet, await drawExamples(data.train, pictures, args.seed));
  ui.result(describeData(data, sheet));
  if (settings.savePictures)
    ui.result(`All pictures: ${await saveDataset(join(folder, "data"), data, pictures)}`);

  const captions = allCaptions();
  const vocabulary = await writeClipTokenizer(folder, captions, MAX_LENGTH);
  await writeJsonFile(join(folder, "preprocessor_config.json"), PREPROCESSOR);
  const processor = await AutoProcessor.fromPretrained(folder);
  const length = Math.max(...processor.tokenizer(captions).inputIds.map((ids) => ids.length));

  return withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    const model = makeModel(device, vocabulary, args.seed);
    const { textConfig, visionConfig } = model.config;
    ui.result(
      `Model: CLIP, ${visionConfig.numHiddenLayers} layers of ${visionConfig.hiddenSize} for pictures and ${textConfig.numHiddenLayers} for texts, ${formatCount(model.numParameters())} parameters, from random weights\n` +
        `Below: accuracy is colour and form of new pictures, told by the nearest of ${NUM_DESCRIPTIONS} prompts (chance ${(100 / NUM_COMBINATIONS).toFixed(1)}%)\n`,
    );
    const { trainer, result } = await trainMonitored(
      {
        lab: "clip-shapes",
        model,
        tokenizer: processor,
        labels: COMBINATIONS,
        args,
        train: datasetOf(data.train),
        validation: datasetOf(data.validation),
        resume,
        recipe: recipeOf(context.settings),
        collator: shapesCollator(processor, pictures, length),
        computeMetrics: zeroShotMetrics,
        createTrainer: (options) => new ShapesTrainer(options, model, processor),
        callbacks: [{ onOptimizerStep: () => model.clampLogitScale() }],
      },
      ui,
    );
    if (result.interrupted) {
      context.exit(EXIT.interrupted);
      return result;
    }
    await trainer.saveModel(folder);
    const seen = await trainer.predict(datasetOf(data.validation), "eval");
    const heldOut = await trainer.predict(datasetOf(data.test), "test");
    const { epoch, globalStep } = trainer.state;
    result.validation = { ...seen.metrics, epoch, step: globalStep };
    result.test = heldOut.metrics;
    await writePredictions(folder, "validation", predictionsOf(seen.predictions, data.validation));
    await writePredictions(folder, "test", predictionsOf(heldOut.predictions, data.test));
    await writeMetrics(folder, result);
    const grid = await drawAnswers(folder, heldOut.predictions, data.test, pictures);
    const own = (metrics: Readonly<Record<string, number>>, prefix: string) =>
      Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name.replace(prefix, ""), value]));
    ui.result(
      `\nZero-shot: the nearest of ${NUM_DESCRIPTIONS} prompts, such as "${captions[0]}"\n\n` +
        formatZeroShot([
          {
            name: "combinations it was trained on",
            pictures: data.validation.length,
            metrics: own(seen.metrics, "eval_"),
          },
          {
            name: "combinations it has never seen",
            pictures: data.test.length,
            metrics: own(heldOut.metrics, "test_"),
          },
        ]),
    );
    const question = await saveSome(folder, data.test, pictures);
    ui.result(nextSteps(folder, grid, question, (performance.now() - began) / 1000));
    model.dispose();
    return result;
  });
}

function readSettings(given: Readonly<Record<string, unknown>>): {
  settings: Settings;
  args: Readonly<TrainingArguments>;
} {
  const own = new Set(OWN.map(({ name }) => name));
  const rest = Object.entries(given).filter(([name]) => !own.has(name));
  const settings = Object.fromEntries(
    Object.entries(given).filter(([name]) => own.has(name)),
  ) as unknown as Settings;
  // A last batch that is not full would be a shape of its own, and an easier task.
  const args = trainingArguments({ ...Object.fromEntries(rest), dataloaderDropLast: true });
  const refuse = (name: string, value: unknown, expected: string) => {
    throw new UsageError(`${flagOf(name)} is ${value}, expected ${expected}.`);
  };
  for (const name of ["picturesPerDescription", "evaluationPictures"] as const) {
    if (!Number.isInteger(settings[name]) || settings[name] < 1)
      refuse(name, settings[name], "a whole number from 1 on");
  }
  const most = descriptionsOf("seen").length / 2;
  const size = args.perDeviceTrainBatchSize;
  if (size < 2 || size > most) {
    refuse(
      "perDeviceTrainBatchSize",
      size,
      `2 to ${most}: the captions of a batch are compared with each other, and no two of them may say the same`,
    );
  }
  return { settings, args };
}

function recipeOf(settings: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(settings).filter(
    ([, value]) => value !== null && !(Array.isArray(value) && value.length === 0),
  );
  const keys = Object.fromEntries(entries.map(([name, value]) => [toSnakeCase(name), value]));
  return `# Written by wgrad lab clip-shapes. Run it again: wgrad lab clip-shapes recipe.yaml --output-dir another-folder\n${stringify({ lab: "clip-shapes", ...keys })}`;
}

/** Rows as a trainer takes them. */
function datasetOf<T extends object>(rows: readonly T[]) {
  return {
    numRows: rows.length,
    at: (index: number) => rows[index]!,
    rows: (indices: number[]) => indices.map((index) => rows[index]!),
  };
}

function describeData({ train, validation, test }: ShapesDataset, sheet: string): string {
  const { colour, form, size, position } = ATTRIBUTES;
  const heldOut = new Set(descriptionsOf("held-out").map((n) => combinationOf(descriptionOf(n))));
  const names = [...heldOut].map((combination) => COMBINATIONS[combination]);
  return (
    `Data: ${formatCount(train.length)} pictures with captions to train on: ${colour.length} colours × ${form.length} forms × ${size.length} sizes × ${position.length} positions\n` +
    `      ${heldOut.size} of the ${NUM_COMBINATIONS} combinations of colour and form are held out: ${names.join(", ")}\n` +
    `      ${validation.length} new pictures of the others to validate on, ${test.length} of the held-out ones to test on\n` +
    `Some of them: ${sheet}`
  );
}

function nextSteps(
  folder: string,
  grid: { png: string; html: string },
  { picture, template, labels }: { picture: string; template: string; labels: string },
  seconds: number,
): string {
  return `
Done in ${formatSeconds(seconds)}. Answers on combinations it has never seen: ${grid.png}, ${grid.html}
Saved in ${folder}: model.safetensors, config.json, tokenizer, preprocessor_config.json, recipe.yaml, metrics.json, log.jsonl, predictions
What to try next:
  wgrad report ${folder}
  wgrad zero-shot ${picture} --model ${folder} --template "${template}" --labels "${labels}"
  wgrad lab                          # the labs on photographs: clip-zero-shot, clip-linear-probe, …`;
}
