/** Features of the splits of a data set of pictures, and of prompts: read where they are there, else computed and kept. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Dataset, DatasetError, type EncodedImage, Image, ImageLoader } from "@wgrad/datasets";
import { CLIPModel } from "@wgrad/models";
import { AutoImageProcessor, AutoTokenizer, fromPretrained, resolveModel } from "@wgrad/models/node";
import { isAdapterFolder, PeftConfig, PeftModel } from "@wgrad/peft/node";
import type { Device } from "@wgrad/tensor";
import { withDevice } from "../device.js";
import { CommandError } from "../errors.js";
import { hubOptions } from "../hub.js";
import { chooseColumn } from "../training/data.js";
import { formatCount, formatSeconds, type Ui } from "../ui.js";
import { imageFeatures, textFeatures } from "./encode.js";
import {
  digestOfClip,
  keyOfImages,
  keyOfTexts,
  type Provenance,
  readImages,
  readTexts,
  type StoredImages,
  type StoredTexts,
  writeImages,
  writeTexts,
} from "./store.js";

/** How features are computed and kept. */
export interface CollectSettings {
  /** Folder or hub id of a CLIP, or the folder of an adapter that names one. */
  model: string;
  /** Where features are kept; null to keep none. */
  featuresDir: string | null;
  /** Pictures of a forward pass. */
  batchSize: number;
  /** Threads that decode pictures. */
  numWorkers: number;
  /** What becomes of a picture that cannot be read: an error, or it is left out. */
  onError: "raise" | "skip";
  /** Compute anew what is there already. */
  recompute: boolean;
  offline: boolean;
}

/** Pictures to encode. */
export interface ImageSource {
  name: string;
  /** Class of each picture, -1 where there is none. */
  labels: Int32Array;
  /** Pictures from `start` up to `end`. */
  images(start: number, end: number): EncodedImage[];
  /** The flag that leaves out what cannot be read, for messages. */
  skipFlag: string;
}

/** What {@link collectFeatures} gives. */
export interface Collected {
  /** Null where no prompts were given. */
  texts: StoredTexts | null;
  /** By the name of the source. */
  images: Map<string, StoredImages>;
}

const IMAGE_COLUMNS = ["image", "img"] as const;

/** The column of the pictures. @throws UsageError, CommandError `E_COLUMN_KIND` */
export function imageColumnOf(dataset: Dataset, given: string | null): string {
  const isImage = (name: string) => dataset.features[name] instanceof Image;
  const column = chooseColumn(dataset, given, IMAGE_COLUMNS, isImage, "--image-column", "pictures");
  if (isImage(column)) return column;
  throw new CommandError(
    "E_COLUMN_KIND",
    `${dataset.name}: column "${column}" does not hold pictures. Name another with --image-column.`,
  );
}

/** The pictures of a split. */
export function sourceOf(name: string, rows: Dataset, column: string, labels: Int32Array): ImageSource {
  return {
    name,
    labels,
    skipFlag: "--on-error skip",
    images(start, end) {
      const indices = Array.from({ length: end - start }, (_, i) => start + i);
      const found = Array.from(rows.batch(indices, [column])[column]!) as (EncodedImage | null)[];
      return found.map((image) => image ?? { bytes: null, path: null });
    },
  };
}

/**
 * Features of pictures and prompts. Where nothing is missing no adapter is opened.
 * @param prompts null for none
 * @throws CommandError `E_WEIGHTS_MISSING` for a checkpoint without all weights; HubError, ConfigError, ImageError, DatasetError
 */
export async function collectFeatures(
  settings: CollectSettings,
  wanted: { prompts: readonly string[] | null; sources: readonly ImageSource[] },
  ui: Ui,
): Promise<Collected> {
  const place = await findClip(settings, ui);
  ui.status(`Looking at ${settings.model}`);
  const digest = await digestOfClip(place.folder, ...(place.adapter ? [place.adapter] : []));
  const { featuresDir } = settings;
  const isKept = featuresDir !== null && !settings.recompute;
  const result: Collected = { texts: null, images: new Map() };

  const textKey = wanted.prompts && keyOfTexts(digest, wanted.prompts);
  if (textKey && isKept) result.texts = await readTexts(featuresDir, textKey);
  if (result.texts) ui.note(`prompts: their features are there already, in ${featuresDir}`);
  const missing: { source: ImageSource; key: string }[] = [];
  for (const source of wanted.sources) {
    const key = keyOfImages(digest, source.labels, (row) => source.images(row, row + 1)[0]!);
    const stored = isKept ? await readImages(featuresDir, source.name, key) : null;
    if (!stored) missing.push({ source, key });
    else {
      ui.note(`${source.name}: features of ${stored.rows} pictures are there already, in ${featuresDir}`);
      result.images.set(source.name, stored);
    }
  }
  ui.done();
  if ((wanted.prompts === null || result.texts) && missing.length === 0) return result;

  await withDevice({}, async (device) => {
    const { model, provenance } = await loadClip(device, place, settings, ui);
    if (wanted.prompts && textKey && !result.texts) {
      const tokenizer = await AutoTokenizer.fromPretrained(place.processor, hubOptions(settings.offline, ui));
      const progress = ui.progress("Encoding prompts", wanted.prompts.length);
      const began = performance.now();
      const features = await textFeatures(model, tokenizer, wanted.prompts, (done) => progress.update(done));
      progress.finish();
      const seconds = (performance.now() - began) / 1000;
      result.texts = { ...provenance, seconds, features, columns: model.config.projectionDim };
      if (featuresDir !== null) await writeTexts(featuresDir, textKey, result.texts);
    }
    for (const { source, key } of missing) {
      const images = await encodeImages(model, provenance, source, place.processor, settings, ui);
      if (featuresDir !== null) await writeImages(featuresDir, source.name, key, images);
      result.images.set(source.name, images);
    }
  });
  return result;
}

/** Where the parts of a CLIP lie. */
interface Place {
  /** Weights of the model, below the adapter where there is one. */
  folder: string;
  adapter: string | null;
  /** Tokenizer and image processor. */
  processor: string;
}

async function findClip({ model: name, offline }: CollectSettings, ui: Ui): Promise<Place> {
  const resolve = (of: string) => resolveModel(of, { ...hubOptions(offline, ui), needs: "processor" });
  if (!isAdapterFolder(name)) {
    const folder = await resolve(name);
    return { folder, adapter: null, processor: folder };
  }
  const { baseModelNameOrPath, modulesToSave } = await PeftConfig.fromPretrained(name);
  if (!baseModelNameOrPath) {
    throw new CommandError(
      "E_ADAPTER_BASE",
      `${name}: adapter_config.json does not name the model below: write its folder or hub id as base_model_name_or_path.`,
    );
  }
  if (modulesToSave?.length) {
    throw new CommandError(
      "E_ADAPTER_KIND",
      `${name}: this adapter comes with a layer of its own (${modulesToSave.join(", ")}), as a run of clip-lora-head does, and knows nothing of texts. ` +
        "Use one of both towers (wgrad lab clip-lora-contrastive), or a whole CLIP.",
    );
  }
  const folder = await resolve(baseModelNameOrPath);
  const hasOwn = ["preprocessor_config.json", "tokenizer.json"].every((file) => existsSync(join(name, file)));
  return { folder, adapter: name, processor: hasOwn ? name : folder };
}

async function loadClip(
  device: Device,
  { folder, adapter }: Place,
  { model: name }: CollectSettings,
  ui: Ui,
): Promise<{ model: CLIPModel; provenance: Omit<Provenance, "seconds"> }> {
  const { model, info } = await fromPretrained(CLIPModel, device, folder, {
    onWarning: () => {},
    onWeights: (done, total) => ui.status(`Loading ${name}: ${done} of ${total} weights`),
  });
  ui.done();
  if (info.missingKeys.length > 0) {
    throw new CommandError(
      "E_WEIGHTS_MISSING",
      `${name}: the weights lack ${info.missingKeys.slice(0, 3).join(", ")}${info.missingKeys.length > 3 ? ", …" : ""}. ` +
        "Zero-shot needs both towers with their projections: use a whole CLIP such as openai/clip-vit-base-patch16.",
    );
  }
  const scale = Math.exp(await model.logit_scale.item());
  if (adapter) (await PeftModel.fromPretrained(model, adapter)).mergeAndUnload();
  return {
    model,
    provenance: { parameters: model.numParameters(), scale, adapter: device.description },
  };
}

async function encodeImages(
  model: CLIPModel,
  provenance: Omit<Provenance, "seconds">,
  source: ImageSource,
  folder: string,
  { batchSize, numWorkers, onError }: CollectSettings,
  ui: Ui,
): Promise<StoredImages> {
  const processor = await AutoImageProcessor.fromPretrained(folder);
  const { transforms, normalization } = processor;
  await using loader = new ImageLoader({ transforms, normalization, numWorkers, onError, name: source.name });
  const count = source.labels.length;
  const progress = ui.progress(`Encoding ${source.name}`, count);
  const began = performance.now();
  const encoding = imageFeatures(model, {
    count,
    batchSize,
    load: (start, end) =>
      loader.load(source.images(start, end), {
        indices: Array.from({ length: end - start }, (_, i) => start + i),
        epoch: 0,
        training: false,
      }),
    onBatch: (done) => progress.update(done),
  });
  const { pooled, projected, ok } = await encoding.catch((error: unknown) => {
    throw withPlace(error, source);
  });
  progress.finish();
  const seconds = (performance.now() - began) / 1000;
  const skipped = ok.filter((read) => !read).length;
  ui.note(
    `${source.name}: ${count === 1 ? "1 picture" : `${formatCount(count)} pictures`} in ${formatSeconds(seconds)}, ${(count / seconds).toPrecision(3)} a second` +
      (skipped > 0 ? `; ${skipped} could not be read and are left out` : ""),
  );
  return {
    ...provenance,
    seconds,
    pooled,
    projected,
    rows: count,
    columns: { pooled: model.config.visionConfig.hiddenSize, projected: model.config.projectionDim },
    ok: Int32Array.from(ok, (read) => (read ? 1 : 0)),
  };
}

/** What is wrong with a picture, with its file where it has one, and the flag that goes on without it. */
function withPlace(error: unknown, { name, images, skipFlag }: ImageSource): unknown {
  if (!(error instanceof DatasetError) || error.code !== "E_IMAGE") return error;
  const { row } = error.detail as { row?: number };
  if (row === undefined) return error;
  const { path } = images(row, row + 1)[0]!;
  return new CommandError(
    "E_IMAGE",
    `${name}, ${path ?? `row ${row}`}: ${error.found} ${skipFlag} goes on without it.`,
    { cause: error },
  );
}
