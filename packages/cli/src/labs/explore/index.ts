import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DistilBertModel } from "@wgrad/models";
import { AutoTokenizer, fromPretrained, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { withDevice } from "../../device.js";
import { UsageError } from "../../errors.js";
import { hubOptions } from "../../hub.js";
import { labelColumnOf, openDataset, takeSplit, textColumnOf } from "../../training/data.js";
import { chooseMaxLength } from "../../training/load.js";
import { flagOf, type Setting, settingsNamed } from "../../training/settings.js";
import type { Lab, LabContext } from "../lab.js";
import { exploreData, splitsOf } from "./data.js";
import { exploreParameters, exploreText } from "./model.js";

const OWN: readonly Setting[] = [
  {
    name: "outputDir",
    kind: "text",
    group: "Exploring:",
    help: "folder to write explore.txt and explore.json to (default: nothing is written)",
  },
  { name: "examples", kind: "number", group: "Exploring:", help: "rows to show", default: 3 },
  {
    name: "text",
    kind: "text",
    group: "Exploring:",
    help: "text to tokenize and run through the model (default: the first row)",
  },
];

interface Settings {
  model?: string;
  dataset?: string;
  textColumn?: string;
  labelColumn?: string;
  trainSplit: string;
  maxLength?: number;
  subset?: number;
  seed: number;
  outputDir?: string;
  examples: number;
  text?: string;
}

/** A look at the data, the tokenizer and the model before anything is trained. */
export const lab: Lab = {
  name: "explore",
  summary: "look at the data, the tokenizer and the model: splits, classes, lengths, [CLS], parameters",
  settings: [
    ...settingsNamed("model", "dataset", "textColumn", "labelColumn", "trainSplit", "maxLength", "subset"),
    ...settingsNamed("seed"),
    ...OWN,
  ],
  examples: [
    ["wgrad lab explore", "DistilBERT and Rotten Tomatoes"],
    ['wgrad lab explore --text "a gripping, clever film"', "what the model makes of your text"],
    ["wgrad lab explore --model my-model --dataset my-data --subset 64", "folders or hub ids"],
    ["wgrad lab explore --json --output-dir runs/explore", "everything as JSON, and in files"],
  ],
  run: explore,
};

async function explore({ settings, offline, ui }: LabContext): Promise<unknown> {
  const given = settings as unknown as Settings;
  const { model: modelName, dataset, subset = null, seed } = given;
  if (!modelName || !dataset) {
    const missing = modelName ? "dataset" : "model";
    throw new UsageError(`${flagOf(missing)} is missing: give it, or write ${missing}: … into a recipe.`);
  }
  if (!Number.isInteger(given.examples) || given.examples < 0)
    throw new UsageError(`--examples is ${given.examples}, expected a whole number from 0 on.`);
  if (subset !== null && (!Number.isInteger(subset) || subset < 1))
    throw new UsageError(`--subset is ${subset}, expected a whole number from 1 on.`);
  const lines: string[] = [];
  const print = (text: string) => {
    lines.push(text);
    ui.result(text);
  };
  const dict = await openDataset(dataset, { offline, ui });
  const first = dict.get(dict.has(given.trainSplit) ? given.trainSplit : dict.splits[0]!);
  const textColumn = textColumnOf(first, given.textColumn ?? null);
  const labelColumn = classesOf(first, given.labelColumn);
  const resolve = hubOptions(offline, ui);
  const tokenizer = await AutoTokenizer.fromPretrained(modelName, resolve);
  return withDevice({}, async (device) => {
    const { model } = await fromPretrained(DistilBertModel, device, modelName, {
      ...resolve,
      onWarning: (message) => ui.note(message),
    });
    ui.done();
    model.eval();
    const maxLength = chooseMaxLength(given.maxLength ?? null, model);
    print(`${dataset}${subset === null ? "" : `, ${subset} rows of each split drawn with seed ${seed}`}\n`);
    const data = exploreData(
      {
        splits: splitsOf(dict, (split) => takeSplit(dict, split, subset, seed)),
        textColumn,
        labelColumn,
        tokenizer,
        maxLength,
        examples: given.examples,
      },
      print,
      ui,
    );
    const text = given.text ?? String(first.at(0)[textColumn]);
    const example = await exploreText(model, tokenizer, text, maxLength, print);
    const parameters = exploreParameters(model, modelName, print);
    const document = { model: modelName, dataset, subset, ...data, example, ...parameters };
    if (given.outputDir !== undefined) {
      await mkdir(given.outputDir, { recursive: true });
      await writeFileAtomic(join(given.outputDir, "explore.txt"), `${lines.join("\n")}\n`);
      await writeJsonFile(join(given.outputDir, "explore.json"), document);
      ui.result(`\nSaved in ${given.outputDir}: explore.txt, explore.json`);
    }
    return document;
  });
}

/** The column of the classes; null where there is none to be found and none was named. */
function classesOf(rows: Parameters<typeof labelColumnOf>[0], given: string | undefined): string | null {
  if (given !== undefined) return labelColumnOf(rows, given);
  try {
    return labelColumnOf(rows, null);
  } catch {
    return null;
  }
}
