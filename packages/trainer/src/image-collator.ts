/** Collators of pictures: what reads and decodes them is given, an `ImageLoader` of `@wgrad/datasets`. */
import type { EncodedImage } from "@wgrad/datasets";
import type { AsyncDataCollator, CollateContext, TensorBatch } from "./data-collator.js";
import { TrainerError } from "./errors.js";
import { IGNORED_LABEL } from "./model-inputs.js";

/** What collators of pictures need of a loader: `ImageLoader` of `@wgrad/datasets`, or one of one's own. */
export interface PictureLoader {
  /**
   * Pictures as the model takes them.
   * @returns `pixelValues` of the shape `shape`, [B, 3, H, W]; `ok` is false for pictures that could not be read and are to be left out
   */
  load(
    images: readonly (EncodedImage | null)[],
    context: CollateContext,
  ): Promise<{ pixelValues: Float32Array; shape: readonly number[]; ok: readonly boolean[] }>;
}

/** A row of a data set of pictures; the names of its columns are options of the collators. */
export type PictureExample = Readonly<Record<string, unknown>>;

/** Options of {@link dataCollatorForImageClassification}. */
export interface ImageClassificationOptions {
  /** Column of the pictures. Default `"image"`. */
  imageColumn?: string;
  /** Column of the class ids; rows may lack it. Default `"label"`. */
  labelColumn?: string;
  /** Class of a label of the data set, where the model's classes are in another order. Default: the same. */
  classOf?: (label: unknown) => number;
  /** What a picture counts in the figures of a run, such as the patches that the model sees. Default 0. */
  tokensPerImage?: number;
}

/** Options of {@link dataCollatorForClassPrompts} and {@link dataCollatorForImageText}. */
export interface ClassPromptOptions extends ImageClassificationOptions {
  /** Token ids of each class's prompt, in the order of the classes; all of one length. */
  prompts: readonly ArrayLike<number>[];
}

/**
 * `pixelValues` and `labels` for a classifier of pictures. A picture that the loader left out has the label -100, which losses and metrics
 * leave out. Give `dataloaderNumWorkers`, so that the next batches are decoded while the GPU works.
 */
export function dataCollatorForImageClassification(
  loader: PictureLoader,
  options: ImageClassificationOptions = {},
): AsyncDataCollator<PictureExample, TensorBatch> {
  const { imageColumn = "image", labelColumn = "label", classOf = Number, tokensPerImage = 0 } = options;
  let evaluated = 0;
  return async (examples, context) => {
    const batchSize = examples.length;
    // Without a trainer nobody says which rows these are.
    const rows = context ?? { indices: Array.from(examples, () => evaluated++), epoch: 0, training: false };
    const images = examples.map((example) => (example[imageColumn] ?? null) as EncodedImage | null);
    const { pixelValues, shape, ok } = await loader.load(images, rows);
    const hasLabels = examples.some((example) => isGiven(example[labelColumn]));
    const labels = Int32Array.from(examples, (example, i) => {
      const label = example[labelColumn];
      return ok[i] && isGiven(label) ? classOf(label) : IGNORED_LABEL;
    });
    return {
      inputs: { pixelValues: { data: pixelValues, shape } },
      ...(hasLabels ? { labels } : {}),
      batchSize,
      numTokens: batchSize * tokensPerImage,
    };
  };
}

/**
 * `pixelValues`, `labels` and the prompts of all classes, `inputIds` [K, T]: for the cross entropy of each picture over all prompts, as
 * zero-shot classification has it, and for evaluating it. See `ContrastiveTrainer`.
 */
export function dataCollatorForClassPrompts(
  loader: PictureLoader,
  options: ClassPromptOptions,
): AsyncDataCollator<PictureExample, TensorBatch> {
  const pictures = dataCollatorForImageClassification(loader, options);
  const length = lengthOf(options.prompts);
  const data = Int32Array.from(options.prompts.flatMap((ids) => Array.from(ids)));
  const inputIds = { data, shape: [options.prompts.length, length] };
  return async (examples, context) => {
    const batch = await pictures(examples, context);
    return { ...batch, inputs: { ...batch.inputs, inputIds } };
  };
}

/**
 * `pixelValues`, the prompt of each picture's class, `inputIds` [B, T], and in `pairs` which of them belong together: for the contrastive
 * loss within a batch, where pictures of one class are no wrong answers to each other. In evaluation as
 * {@link dataCollatorForClassPrompts}: there the figures are those of zero-shot classification. See `ContrastiveTrainer`.
 */
export function dataCollatorForImageText(
  loader: PictureLoader,
  options: ClassPromptOptions,
): AsyncDataCollator<PictureExample, TensorBatch> {
  const { prompts } = options;
  const pictures = dataCollatorForImageClassification(loader, options);
  const evaluated = dataCollatorForClassPrompts(loader, options);
  const length = lengthOf(prompts);
  return async (examples, context) => {
    if (!context?.training) return evaluated(examples, context);
    const batch = await pictures(examples, context);
    const { batchSize } = batch;
    const pairs = (batch.labels as Int32Array | undefined) ?? new Int32Array(batchSize).fill(IGNORED_LABEL);
    const data = new Int32Array(batchSize * length);
    for (const [i, label] of pairs.entries()) data.set(prompts[Math.max(0, label)]!, i * length);
    const inputs = {
      ...batch.inputs,
      inputIds: { data, shape: [batchSize, length] },
      pairs: { data: pairs, shape: [batchSize] },
    };
    return { ...batch, inputs };
  };
}

function isGiven(label: unknown): boolean {
  return label !== undefined && label !== null && Number(label) !== -1;
}

function lengthOf(prompts: readonly ArrayLike<number>[]): number {
  const length = prompts[0]?.length ?? 0;
  const other = prompts.findIndex((ids) => ids.length !== length);
  if (length > 0 && other < 0) return length;
  throw new TrainerError(
    "E_DATA",
    length === 0
      ? "there is no prompt. Give the token ids of each class's prompt."
      : `prompt ${other} has ${prompts[other]!.length} tokens, prompt 0 has ${length}. Tokenize all of them at once with padding: true.`,
  );
}
