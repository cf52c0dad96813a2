import type { Dataset } from "@wgrad/datasets";
import { DistilBertModel } from "@wgrad/models";
import {
  AutoConfig,
  AutoTokenizer,
  type FromPretrainedOptions,
  fromPretrained,
  resolveModel,
} from "@wgrad/models/node";
import { withDevice } from "../../device.js";
import { CommandError } from "../../errors.js";
import {
  type BatchSettings,
  collatorOf,
  labelColumnOf,
  labelNamesOf,
  labelsOf,
  openDataset,
  remarks,
  takeSplit,
  textColumnOf,
  tokenizeSplit,
} from "../../training/data.js";
import { chooseMaxLength } from "../../training/load.js";
import { setAside } from "../../training/prepare.js";
import { formatBytes, formatSeconds, type Ui } from "../../ui.js";
import { digestOfModel, keyOf, readFeatures, type StoredFeatures, writeFeatures } from "./cache.js";
import { extractFeatures } from "./extract.js";

/** What features are computed of. */
export interface FeatureSettings extends BatchSettings {
  /** Folder or hub id of a model; only its encoder is used. */
  model: string;
  dataset: string;
  /** Split to learn from. */
  trainSplit: string;
  /** Split by which the best classifier is chosen; left out where the data set lacks it. */
  evalSplit: string;
  /** Split that the best is measured on; left out where the data set lacks it. */
  testSplit: string;
  /** Rows of the training split to set aside where there is no split for it: a share or a number; null for none. */
  validationSize: number | null;
  testSize: number | null;
  textColumn: string | null;
  labelColumn: string | null;
  maxLength: number | null;
  /** Examples of each split, drawn with the seed; null for all. */
  subset: number | null;
  seed: number;
  batchSize: number;
  /** Compute anew what is there already. */
  recompute: boolean;
  offline: boolean;
}

/** What a split is for. */
export const ROLES = ["train", "validation", "test"] as const;
export type Role = (typeof ROLES)[number];

/** Features of a split, and where they came from. */
export interface Collected {
  features: StoredFeatures;
  texts: readonly string[];
  /** Whether they were read from the folder. */
  cached: boolean;
}

/** A split to compute. */
interface Wanted {
  split: Role;
  rows: Dataset;
  texts: readonly string[];
  labels: Int32Array;
  key: string;
}

/**
 * Features of the splits of a data set. What `folder` holds of the same model, texts and length is read; the rest is computed and
 * written there, split by split. Where nothing is missing no adapter is opened.
 */
export async function collectFeatures(
  folder: string,
  settings: FeatureSettings,
  ui: Ui,
): Promise<Map<Role, Collected>> {
  const resolve: FromPretrainedOptions = {
    ...(settings.offline ? { offline: true } : {}),
    onProgress: (p) =>
      ui.status(
        `Downloading ${p.file} (${p.index} of ${p.count}): ${formatBytes(p.loaded)} of ${formatBytes(p.total)}`,
      ),
  };
  const modelFolder = await resolveModel(settings.model, resolve);
  const opened = await openDataset(settings.dataset, { offline: settings.offline, ui });
  const splits = setAside(opened, settings, settings.seed, ui);
  const nameOf = { train: settings.trainSplit, validation: settings.evalSplit, test: settings.testSplit };
  const roles = ROLES.filter((role) => splits.has(nameOf[role]));
  const maxLength = chooseMaxLength(settings.maxLength, {
    config: await AutoConfig.fromPretrained(modelFolder, { modelType: "distilbert" }),
  });
  const digest = await digestOfModel(modelFolder);
  const first = splits.get(nameOf.train);
  const textColumn = textColumnOf(first, settings.textColumn);
  const labelColumn = labelColumnOf(first, settings.labelColumn);
  const labelNames = labelNamesOf(first, labelColumn);

  const found = new Map<Role, Collected>();
  const missing: Wanted[] = [];
  for (const split of roles) {
    const rows = takeSplit(splits, nameOf[split], settings.subset, settings.seed);
    const texts = textsOf(rows, textColumn);
    const has = rows.columnNames.includes(labelColumn);
    const labels =
      (has ? labelsOf(rows, labelColumn, { labels: labelNames, needsLabels: split === "train" }) : null) ??
      new Int32Array(texts.length).fill(-1);
    const key = keyOf(digest, texts, maxLength);
    const stored = settings.recompute ? null : await readFeatures(folder, split, key);
    if (!stored) {
      missing.push({ split, rows, texts, labels, key });
      continue;
    }
    ui.note(`${split}: features of ${stored.rows} texts are there already, in ${folder}`);
    found.set(split, { features: { ...stored, labels, labelNames }, texts, cached: true });
  }
  if (missing.length > 0) {
    const computed = await computeFeatures(
      folder,
      missing,
      { ...settings, model: modelFolder, maxLength, textColumn, labelNames, resolve },
      ui,
    );
    for (const [split, collected] of computed) found.set(split, collected);
  }
  return new Map(roles.map((split) => [split, found.get(split)!]));
}

interface ComputeSettings extends BatchSettings {
  model: string;
  maxLength: number;
  textColumn: string;
  labelNames: readonly string[];
  batchSize: number;
  resolve: FromPretrainedOptions;
}

async function computeFeatures(
  folder: string,
  wanted: readonly Wanted[],
  settings: ComputeSettings,
  ui: Ui,
): Promise<Map<Role, Collected>> {
  const { model: name, maxLength, textColumn, labelNames, batchSize, resolve } = settings;
  const found = new Map<Role, Collected>();
  const tokenizer = await AutoTokenizer.fromPretrained(name, resolve);
  await withDevice({}, async (device) => {
    const { model, info } = await fromPretrained(DistilBertModel, device, name, {
      ...resolve,
      onWarning: () => {},
      onWeights: (done, total) => ui.status(`Loading ${name}: ${done} of ${total} weights`),
    });
    ui.done();
    if (info.missingKeys.length > 0) {
      throw new CommandError(
        "E_WEIGHTS_MISSING",
        `${name}: the weights lack ${info.missingKeys.slice(0, 3).join(", ")}, which config.json asks for. ` +
          "The file is damaged or of another model: download it again, or correct config.json.",
      );
    }
    const collate = collatorOf(tokenizer, settings);
    for (const { split, rows, texts, labels, key } of wanted) {
      const tokenized = tokenizeSplit(
        rows,
        { textColumn, labelColumn: null, labels: labelNames, tokenizer, maxLength, needsLabels: false },
        ui,
      );
      for (const line of remarks(split, tokenized, maxLength)) ui.note(line);
      const inputIds = Array.from({ length: texts.length }, (_, i) => tokenized.examples.at(i).inputIds);
      const batches = Math.ceil(texts.length / batchSize);
      const progress = ui.progress(`Features of ${split}`, batches);
      const began = performance.now();
      const extracted = await extractFeatures(model, inputIds as Int32Array[], {
        batchSize,
        collate,
        onBatch: (batch) => progress.update(batch),
      });
      progress.finish();
      const seconds = (performance.now() - began) / 1000;
      ui.note(
        `${split}: ${texts.length} texts, ${extracted.tokens} tokens in ${batches} batches, ${formatSeconds(seconds)}`,
      );
      const features = {
        ...extracted,
        labels,
        labelNames,
        parameters: model.numParameters(),
        adapter: device.description,
        seconds,
      };
      await writeFeatures(folder, split, key, features);
      found.set(split, { features, texts, cached: false });
    }
  });
  return found;
}

function textsOf(rows: Dataset, column: string): string[] {
  const texts = Array.from(rows.column(column) as ArrayLike<string | null>);
  const missing = texts.findIndex((text) => typeof text !== "string");
  if (missing >= 0) {
    throw new CommandError(
      "E_TEXT",
      `${rows.name}: the ${column} of row ${missing} is null. Remove the row, or fill it in.`,
    );
  }
  return texts as string[];
}
