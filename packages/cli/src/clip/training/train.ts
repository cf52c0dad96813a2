/** Trains a CLIP on pictures, evaluates it and saves what it did. */
import { ImageLoader, imageBytes, isEncodedImage, isGreyscale } from "@wgrad/datasets";
import { type CLIPImageProcessor, type CLIPModel, CLIPProcessor } from "@wgrad/models";
import { AutoImageProcessor, AutoTokenizer } from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { PeftModel } from "@wgrad/peft";
import {
  type AnyDataCollator,
  type AnyModel,
  ContrastiveTrainer,
  dataCollatorForClassPrompts,
  dataCollatorForImageClassification,
  dataCollatorForImageText,
  type EvalPrediction,
  type PictureExample,
  type ProcessingClass,
  Trainer,
  type TrainerDataset,
} from "@wgrad/trainer";
import { withDevice } from "../../device.js";
import { CommandError } from "../../errors.js";
import { hubOptions } from "../../hub.js";
import { assignmentsOf } from "../../kernels/assignment.js";
import { ownKernelsJson, useOwnKernels, useVariants } from "../../kernels/own.js";
import { type RunMetrics, writeMetrics, writePredictions } from "../../runs/run-folder.js";
import { countParameters, trainMonitored } from "../../training/run.js";
import { callbacksOf, withoutEvaluation } from "../../training/train.js";
import { formatCount, type Ui } from "../../ui.js";
import { imageColumnOf, sourceOf } from "../collect.js";
import { promptsOf } from "../prompts.js";
import { type Judged, predictionRows, saveGrid, subjectOf } from "../save.js";
import { formatScores } from "../score-table.js";
import { figuresOf, type Scores, scoresOf } from "../scores.js";
import { type ImageSplit, openSplits, type Role } from "../splits.js";
import { loadClipModel } from "./model.js";
import { type ClipRecipe, clipRecipeText, trainingTransforms } from "./settings.js";

/** What a run is told beside its recipe. */
export interface TrainClipOptions {
  /** A checkpoint's folder, true for the newest, false to start anew. */
  readonly resume: string | boolean;
  /** Never touch the network. */
  readonly offline: boolean;
}

/**
 * Loads everything that a recipe names, trains, evaluates and saves: checkpoints while it runs, then the model (or its adapter), the
 * processor, `recipe.yaml`, `metrics.json`, `log.jsonl`, predictions and a grid of pictures. Ctrl-C ends it after the step in hand with a
 * checkpoint.
 */
export async function trainClip(given: ClipRecipe, options: TrainClipOptions, ui: Ui): Promise<RunMetrics> {
  return withDevice({}, async (device) => {
    const { kind, clip, recipe } = given;
    const { settings } = recipe;
    ui.note(`Adapter: ${device.description}`);
    const own = await useOwnKernels(device, assignmentsOf(settings.kernel), { force: false, ui });
    useVariants(device, assignmentsOf(settings.variant));
    const { names, splits } = await openPictures(given, options.offline, ui);
    const train = splits.get("train");
    if (!train) {
      throw new CommandError(
        "E_SPLIT",
        `${settings.dataset}: there is no split "${settings.trainSplit}" to train on. Name one with --train-split.`,
      );
    }
    const validation = splits.get("validation") ?? null;
    const args = withoutEvaluation(recipe.args, validation === null, settings.evalSplit, ui);
    const processor = await openProcessor(given, options.offline, ui);
    const model = await loadClipModel(device, given, names, options.offline, ui);
    noteSizes(given, names, [...splits.values()], ui);
    ui.note(`Model: ${settings.model}: ${formatCount(countParameters(model).all)} parameters`);
    if (model instanceof PeftModel) model.printTrainableParameters((line) => ui.result(line));

    const { imageProcessor } = processor;
    await using loader = new ImageLoader({
      transforms: trainingTransforms(imageProcessor, clip),
      evalTransforms: imageProcessor.transforms,
      normalization: imageProcessor.normalization,
      numWorkers: args.dataloaderNumWorkers,
      cacheDir: clip.cacheDir,
      onError: clip.onError,
      seed: args.dataSeed ?? args.seed,
      name: settings.dataset,
    });
    const { trainer, result } = await trainMonitored(
      {
        lab: kind.lab,
        model,
        tokenizer: processor,
        labels: names,
        args,
        train: picturesOf(train, given),
        validation: validation && picturesOf(validation, given),
        resume: options.resume,
        recipe: clipRecipeText({ ...given, recipe: { settings, args } }),
        callbacks: callbacksOf({ settings, args }),
        ownKernels: ownKernelsJson(own),
        collator: collatorOf(given, loader, processor.tokenizer, names, patchesOf(model)),
        computeMetrics: metricsOf(names),
        createTrainer: (o) => (clip.loss === "head" ? new Trainer(o) : new ContrastiveTrainer(o)),
      },
      ui,
    );
    if (!result.interrupted) {
      const processed = (split: ImageSplit) => picturesOf(split, given);
      await finish(given, trainer, result, { names, splits, processed }, ui);
    }
    if (loader.skipped > 0) ui.note(`${loader.skipped} pictures could not be read and were left out.`);
    return result;
  });
}

/** Opens the splits; those to train on without what the recipe leaves out. */
async function openPictures({ recipe: { settings, args }, clip }: ClipRecipe, offline: boolean, ui: Ui) {
  const { imageColumn, classNames, loss } = clip;
  const opened = await openSplits(
    { ...settings, imageColumn, classNames, offline, seed: args.seed, allowIds: loss === "head" },
    ["train", "validation", "test"],
    ui,
  );
  const splits = new Map<Role, ImageSplit>();
  for (const split of opened.splits) {
    const isUseful = split.role === "train" || split.source.labels.some((label) => label >= 0);
    if (isUseful) splits.set(split.role, split);
    else ui.note(`${split.role}: no picture has a class: there is nothing to measure.`);
  }
  const train = splits.get("train");
  if (clip.skipGreyscale && train) splits.set("train", withColours(train, imageColumn, ui));
  return { names: opened.names, splits };
}

/** A split without the pictures that have no colours. */
function withColours(split: ImageSplit, given: string | null, ui: Ui): ImageSplit {
  const { rows, source } = split;
  const kept = Array.from(source.labels.keys()).filter((row) => {
    const [image] = source.images(row, row + 1);
    return !isEncodedImage(image) || !isGreyscale(imageBytes(image));
  });
  const dropped = rows.numRows - kept.length;
  ui.note(`${split.role}: ${formatCount(dropped)} pictures without colours are left out.`);
  const chosen = rows.select(kept);
  const labels = Int32Array.from(kept, (row) => source.labels[row]!);
  return {
    ...split,
    rows: chosen,
    source: sourceOf(source.name, chosen, imageColumnOf(rows, given), labels),
  };
}

/** A split as the trainer takes it: pictures and the model's classes. */
function picturesOf({ rows, source }: ImageSplit, { clip }: ClipRecipe): TrainerDataset<PictureExample> {
  const column = imageColumnOf(rows, clip.imageColumn);
  const examples = (indices: readonly number[]) => {
    const images = Array.from(rows.batch(indices, [column])[column] as ArrayLike<unknown>);
    return indices.map((row, i) => ({ image: images[i], label: source.labels[row] }));
  };
  return { numRows: rows.numRows, rows: examples, at: (row) => examples([row])[0]! };
}

/** Tokenizer and image processor; a classifier of pictures needs no tokenizer. */
async function openProcessor(
  { recipe, clip }: ClipRecipe,
  offline: boolean,
  ui: Ui,
): Promise<{ imageProcessor: CLIPImageProcessor; tokenizer: PreTrainedTokenizer | null } & ProcessingClass> {
  const { model } = recipe.settings;
  const options = hubOptions(offline, ui);
  const imageProcessor = await AutoImageProcessor.fromPretrained(model, options);
  if (clip.loss === "head") {
    return {
      imageProcessor,
      tokenizer: null,
      savePretrained: (folder) => imageProcessor.savePretrained(folder),
    };
  }
  return new CLIPProcessor(await AutoTokenizer.fromPretrained(model, options), imageProcessor);
}

function collatorOf(
  { clip }: ClipRecipe,
  loader: ImageLoader,
  tokenizer: PreTrainedTokenizer | null,
  names: readonly string[],
  tokensPerImage: number,
): AnyDataCollator {
  if (!tokenizer) return dataCollatorForImageClassification(loader, { tokensPerImage });
  // All of one length, whichever of them a batch holds: one recording of the step.
  const { inputIds: prompts } = tokenizer(promptsOf(names, [clip.template]), {
    padding: true,
    truncation: true,
  });
  const collator = clip.loss === "contrastive" ? dataCollatorForImageText : dataCollatorForClassPrompts;
  return collator(loader, { prompts, tokensPerImage });
}

/** Positions of a picture in the vision tower: its patches and the class token. */
function patchesOf(model: AnyModel): number {
  const base: unknown = model instanceof PeftModel ? model.getBaseModel() : model;
  const { imageSize, patchSize } = (base as CLIPModel).config.visionConfig;
  return (imageSize / patchSize) ** 2 + 1;
}

function metricsOf(names: readonly string[]) {
  return ({ predictions, labelIds }: EvalPrediction): Record<string, number> => {
    const scores = scoresOf(predictions, labelIds, names);
    if (!scores) return {};
    // The loss is the trainer's own to tell.
    const { loss: _loss, ...figures } = figuresOf(scores, "");
    return figures;
  };
}

function noteSizes(
  { recipe }: ClipRecipe,
  names: readonly string[],
  splits: readonly ImageSplit[],
  ui: Ui,
): void {
  const sizes = splits.map(({ role, rows }) => `${role} ${formatCount(rows.numRows)}`).join(", ");
  const shown = names.slice(0, 6).join(", ");
  ui.note(
    `Data: ${recipe.settings.dataset}: ${sizes}; ${names.length} classes: ${shown}${names.length > 6 ? ", …" : ""}`,
  );
}

/** Evaluates what was trained, and saves it with its figures. */
async function finish(
  { recipe: { settings, args }, clip }: ClipRecipe,
  trainer: Trainer,
  result: RunMetrics,
  {
    names,
    splits,
    processed,
  }: {
    names: readonly string[];
    splits: ReadonlyMap<Role, ImageSplit>;
    processed: (split: ImageSplit) => TrainerDataset;
  },
  ui: Ui,
): Promise<void> {
  const folder = args.outputDir;
  await trainer.saveModel(folder);
  if (args.loadBestModelAtEnd && result.best) {
    const { metric, value, epoch } = result.best;
    ui.result(
      `Best: ${metric} ${value.toFixed(4)} after epoch ${Number(epoch.toFixed(2))}; its weights are put back.`,
    );
  }
  const judged: (Judged & { role: Role; scores: Scores | null })[] = [];
  for (const role of ["validation", "test"] as const) {
    const split = splits.get(role);
    if (!split) continue;
    const prefix = role === "test" ? "test" : "eval";
    const { predictions, labelIds, metrics } = await trainer.predict(processed(split), prefix);
    const labels = labelIds!.map((label) => Math.max(-1, label));
    const scores = scoresOf(predictions, labels, names);
    const { epoch, globalStep: step } = trainer.state;
    result[role] = role === "test" ? metrics : { ...metrics, epoch, step };
    const one = { role, source: split.source, logits: predictions, labels, scores };
    judged.push(one);
    await writePredictions(folder, role, predictionRows(one, names.length));
  }
  ui.result(`\n${formatScores(judged)}`);
  const shown = judged.at(-1);
  if (shown && clip.gridSize > 0) {
    const ok = shown.labels.map((label) => (label >= 0 ? 1 : 0));
    const title = subjectOf(settings.model, settings.dataset);
    await saveGrid(folder, shown, names, { title, count: clip.gridSize, seed: args.seed, ok });
  }
  await writeMetrics(folder, result);
  const weights =
    trainer.model instanceof PeftModel
      ? "adapter_model.safetensors, adapter_config.json"
      : "model.safetensors, config.json";
  const grid = shown && clip.gridSize > 0 ? ", grid.html, grid.png" : "";
  ui.result(
    `\nSaved in ${folder}: ${weights}, processor, recipe.yaml, metrics.json, log.jsonl, predictions${grid}\nAs a page: wgrad report ${folder}`,
  );
}
