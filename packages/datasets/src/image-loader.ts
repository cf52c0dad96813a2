import { checkNormalization, checkTransforms, type Normalization, type Transform } from "@wgrad/image";
import type { DecodeOptions } from "@wgrad/image/node";
import type { Dataset } from "./dataset.js";
import { badArgument, checkSeed, DatasetError } from "./errors.js";
import { ImageWorkers } from "./image-workers.js";
import { cacheSize } from "./images/decode-cache.js";
import { type EncodedImage, isEncodedImage } from "./images/encoded-image.js";
import type { ImageResult } from "./images/process-image.js";
import { outputSize, withoutChance } from "./images/transform-lists.js";

/** Options of {@link ImageLoader}. */
export interface ImageLoaderOptions extends DecodeOptions {
  /** What is done to each picture in training, random transforms included. */
  transforms: readonly Transform[];
  /** The same outside of training. Default: `transforms` without chance (a random crop is then one of the middle). */
  evalTransforms?: readonly Transform[];
  /** From bytes to the numbers that a model takes. */
  normalization: Normalization;
  /** Threads that decode; 0 does it on the calling thread. Default 2. */
  numWorkers?: number;
  /** Pictures that are being done at once, over all batches that were asked for; others wait. Default 8 for each worker. */
  maxInFlight?: number;
  /** A folder that keeps pictures as they are before the first random transform. Default null: none. */
  cacheDir?: string | null;
  /** What the cache may grow to, in bytes; then nothing is added any more. Default 8 GiB. */
  cacheBytes?: number;
  /** What a picture that cannot be read does: an error that names its row, or zeros that are counted. Default `"raise"`. */
  onError?: "raise" | "skip";
  /** Of random transforms. Default 0. */
  seed?: number;
  /** What errors call the data set. */
  name?: string;
}

/** Which pictures are asked for. */
export interface LoadContext {
  /** Their rows in the data set. */
  indices: ArrayLike<number>;
  /** Default 0. */
  epoch?: number;
  /** Whether random transforms apply. Default false. */
  training?: boolean;
}

/** Pictures as a model takes them. */
export interface ImageBatch {
  /** [B, 3, H, W] */
  pixelValues: Float32Array;
  shape: [batch: number, channels: number, height: number, width: number];
  /** False for pictures that were skipped: their pixels are 0. */
  ok: boolean[];
}

/** Options of {@link ImageLoader.batches}. */
export interface ImageBatchesOptions {
  /** Pictures of a batch. */
  batchSize: number;
  /** The column of pictures. Default `"image"`. */
  column?: string;
  /** Rows, in this order. Default: all, as they come. */
  indices?: ArrayLike<number>;
  /** Batches that are made before they are asked for. Default 2. */
  ahead?: number;
  /** Use the memory of a batch again once the next is asked for: see {@link ImageLoader.release}. Default false. */
  reuse?: boolean;
  epoch?: number;
  training?: boolean;
}

/** What a loader has done. */
export interface ImageLoaderStatistics {
  /** Pictures that were asked for. */
  images: number;
  /** Pictures that could not be read, with `onError: "skip"`. */
  skipped: number;
  /** Pictures that came from the cache. */
  cacheHits: number;
  /** Entries of the cache that were damaged and made again. */
  cacheDamaged: number;
  /** Bytes of the cache, about; 0 without one. */
  cacheBytes: number;
  /** Why nothing is added to the cache any more: its folder cannot be written to, say. */
  cacheError: string | null;
  /** The most pictures that were being done at once. */
  peakInFlight: number;
}

const DEFAULT_CACHE_BYTES = 8 * 2 ** 30;
const IN_FLIGHT_A_WORKER = 8;
const SPARE_BATCHES = 4;

/**
 * Makes batches of pixels of encoded pictures: reads, decodes, transforms and normalises them in threads. Random transforms of a picture
 * depend on the seed, the epoch and its row alone, so that the number of workers and the order of their work change no bit.
 *
 * Ask for the next batches before the last is used ({@link ImageLoader.batches} does, and so does a Trainer whose collator calls
 * {@link ImageLoader.load}): then they are made while the GPU works. However many are asked for, no more than `maxInFlight` pictures
 * are decoded at once. Close it in the end: `await using loader = new ImageLoader(…)`.
 */
export class ImageLoader implements AsyncDisposable {
  readonly #workers: ImageWorkers;
  readonly #sizes: {
    training: readonly [number, number] | null;
    evaluation: readonly [number, number] | null;
  };
  readonly #onError: "raise" | "skip";
  readonly #name: string;
  readonly #cacheLimit: number;
  #cacheBytes = 0;
  /** Memory of batches that are done with. */
  #spare: Float32Array[] = [];
  #images = 0;
  #skipped = 0;
  #cacheHits = 0;
  #cacheDamaged = 0;
  #cacheError: string | null = null;

  /** @throws DatasetError E_ARGUMENT; ImageError E_IMAGE_TRANSFORM */
  constructor(options: ImageLoaderOptions) {
    const training = checkTransforms(options.transforms);
    const evaluation = checkTransforms(options.evalTransforms ?? withoutChance(training));
    checkNormalization(options.normalization);
    const numWorkers = whole("numWorkers", options.numWorkers ?? 2, 0);
    const maxInFlight = whole(
      "maxInFlight",
      options.maxInFlight ?? IN_FLIGHT_A_WORKER * Math.max(1, numWorkers),
      1,
    );
    const { transparency, orientation } = options;
    const cacheDir = options.cacheDir ?? null;
    this.#workers = new ImageWorkers(
      {
        transforms: { training, evaluation },
        normalization: options.normalization,
        decode: {
          ...(transparency === undefined ? {} : { transparency }),
          ...(orientation === undefined ? {} : { orientation }),
        },
        cacheDir,
        seed: checkSeed("ImageLoader", options.seed ?? 0),
      },
      numWorkers,
      maxInFlight,
    );
    this.#sizes = { training: outputSize(training), evaluation: outputSize(evaluation) };
    this.#onError = options.onError ?? "raise";
    if (this.#onError !== "raise" && this.#onError !== "skip") {
      throw badArgument("ImageLoader", "onError", this.#onError, '"raise" or "skip"');
    }
    this.#name = options.name ?? "images";
    this.#cacheLimit = options.cacheBytes ?? DEFAULT_CACHE_BYTES;
    if (cacheDir !== null) this.#cacheBytes = cacheSize(cacheDir);
  }

  /** Pictures that could not be read and were left out as zeros. */
  get skipped(): number {
    return this.#skipped;
  }

  get statistics(): ImageLoaderStatistics {
    return {
      images: this.#images,
      skipped: this.#skipped,
      cacheHits: this.#cacheHits,
      cacheDamaged: this.#cacheDamaged,
      cacheBytes: this.#cacheBytes,
      cacheError: this.#cacheError,
      peakInFlight: this.#workers.peakInFlight,
    };
  }

  /**
   * Makes one batch.
   * @param images of one picture a row: `{ bytes, path }`, as an Image column has them; their bytes stay the caller's
   * @throws DatasetError E_IMAGE naming data set and row of a picture that cannot be read (with `onError: "raise"`), or two whose sizes
   *   differ; E_IMAGE_WORKER if a thread ended, or the loader is closed; E_ARGUMENT
   */
  async load(images: readonly (EncodedImage | null)[], context: LoadContext): Promise<ImageBatch> {
    const { indices, epoch = 0, training = false } = context;
    if (images.length === 0 || indices.length !== images.length) {
      throw badArgument(
        "ImageLoader.load",
        "indices",
        `of length ${indices.length}`,
        `one row number for each of the ${images.length} pictures, and at least one`,
      );
    }
    this.#images += images.length;
    const size = training ? this.#sizes.training : this.#sizes.evaluation;
    const batch = new Assembly(images.length, size, this.#name, (length) => this.#memory(length));
    const done = images.map(async (image, i) => {
      const row = indices[i]!;
      if (!isEncodedImage(image)) {
        this.#fail(row, "it holds no picture (neither bytes nor a path).", null);
        return;
      }
      const result = await this.#workers.run({
        bytes: image.bytes ?? null,
        path: image.path ?? null,
        row,
        epoch,
        training,
        store: this.#cacheError === null && this.#cacheBytes < this.#cacheLimit,
      });
      this.#count(result);
      if (result.ok) {
        batch.set(i, row, result);
        this.#workers.recycle(result.pixelValues);
      } else this.#fail(row, result.message, result.code);
    });
    // All of them, also after a failure: pictures of this batch are not to be counted while the next one is asked for.
    const failed = (await Promise.allSettled(done)).find((one) => one.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return batch.finish();
  }

  /**
   * Batches of a data set in order, some of them made ahead of being asked for.
   * @throws DatasetError as {@link ImageLoader.load}; E_COLUMN_UNKNOWN
   */
  async *batches<R extends object>(
    dataset: Dataset<R>,
    options: ImageBatchesOptions,
  ): AsyncGenerator<ImageBatch & { indices: number[] }> {
    const { column = "image", indices, ahead = 2, reuse = false, ...context } = options;
    const batchSize = whole("batchSize", options.batchSize, 1);
    whole("ahead", ahead, 0);
    dataset.feature(column);
    const total = indices?.length ?? dataset.numRows;
    const pending: { rows: number[]; batch: Promise<ImageBatch> }[] = [];
    let next = 0;
    const prepare = (): void => {
      const length = Math.min(batchSize, total - next);
      const rows = Array.from({ length }, (_, i) => indices?.[next + i] ?? next + i);
      next += length;
      const images = dataset.batch(rows, [column])[column] as (EncodedImage | null)[];
      const batch = this.load(images, { ...context, indices: rows });
      // Reported when it is asked for.
      batch.catch(() => {});
      pending.push({ rows, batch });
    };
    while (next < total || pending.length > 0) {
      while (next < total && pending.length <= ahead) prepare();
      const { rows, batch: promise } = pending.shift()!;
      const batch = await promise;
      yield { ...batch, indices: rows };
      if (reuse) this.release(batch);
    }
  }

  /**
   * Gives the memory of a batch back, for one to come; its pixels are then another batch's. Without this it is the garbage collector's,
   * which lets batches pile up to some tens of MiB before it acts.
   */
  release(batch: ImageBatch): void {
    if (this.#spare.length < SPARE_BATCHES) this.#spare.push(batch.pixelValues);
  }

  #memory(length: number): Float32Array {
    const at = this.#spare.findIndex((memory) => memory.length === length);
    return at < 0 ? new Float32Array(length) : this.#spare.splice(at, 1)[0]!;
  }

  /** Ends the threads; batches that are still being made are rejected with E_IMAGE_WORKER. */
  async close(): Promise<void> {
    this.#spare = [];
    await this.#workers.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #count(result: ImageResult): void {
    if (!result.ok) return;
    this.#cacheBytes += result.stored;
    this.#cacheError ??= result.cacheError;
    if (result.cache === "hit") this.#cacheHits++;
    if (result.cache === "damaged") this.#cacheDamaged++;
  }

  #fail(row: number, message: string, code: string | null): void {
    if (this.#onError === "skip") {
      this.#skipped++;
      return;
    }
    throw new DatasetError({
      code: "E_IMAGE",
      where: `${this.#name}, row ${row}`,
      message: `the picture cannot be read: ${message}`,
      fix: 'Put a good picture there or leave the row out; onError: "skip" goes on without it.',
      detail: { row, code },
    });
  }
}

/** A batch in the making. */
class Assembly {
  readonly #ok: boolean[];
  readonly #name: string;
  #size: readonly [number, number] | null;
  readonly #memory: (length: number) => Float32Array;
  #pixels: Float32Array | null = null;
  #first: number | null = null;

  constructor(
    length: number,
    size: readonly [number, number] | null,
    name: string,
    memory: (length: number) => Float32Array,
  ) {
    this.#memory = memory;
    this.#ok = new Array<boolean>(length).fill(false);
    this.#size = size;
    this.#name = name;
  }

  set(at: number, row: number, { pixelValues, width, height }: ImageResult & { ok: true }): void {
    this.#size ??= [height, width];
    this.#first ??= row;
    const [h, w] = this.#size;
    if (h !== height || w !== width) {
      throw new DatasetError({
        code: "E_IMAGE",
        where: `${this.#name}, row ${row}`,
        message: `the picture has ${height} x ${width} pixels (height x width), row ${this.#first} of the same batch ${h} x ${w}.`,
        fix: "End the transforms with centerCrop, or resize to [height, width], so that all have one size.",
        detail: { row, size: [height, width], other: [h, w] },
      });
    }
    this.#pixels ??= this.#memory(this.#ok.length * 3 * h * w);
    this.#pixels.set(pixelValues, at * 3 * h * w);
    this.#ok[at] = true;
  }

  finish(): ImageBatch {
    if (this.#size === null) {
      throw new DatasetError({
        code: "E_IMAGE",
        where: this.#name,
        message: `none of the ${this.#ok.length} pictures of a batch can be read, so that their size is unknown.`,
        fix: "End the transforms with centerCrop, or resize to [height, width]; then they are zeros.",
      });
    }
    const [h, w] = this.#size;
    const batch = this.#ok.length;
    const length = 3 * h * w;
    const pixelValues = this.#pixels ?? this.#memory(batch * length);
    // The memory may have been another batch's.
    for (const [i, ok] of this.#ok.entries()) if (!ok) pixelValues.fill(0, i * length, (i + 1) * length);
    return { pixelValues, shape: [batch, 3, h, w], ok: this.#ok };
  }
}

function whole(option: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw badArgument("ImageLoader", option, value, `a whole number from ${least}`);
}
