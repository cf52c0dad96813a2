/** From the bytes of one picture to what a model takes: the work of a worker, or of the calling thread without workers. */
import {
  applyTransforms,
  type Normalization,
  type RawImage,
  type Transform,
  toPixelValues,
} from "@wgrad/image";
import { type DecodeOptions, decodeImage } from "@wgrad/image/node";
import { reason } from "../errors.js";
import { sampleRandom } from "../random.js";
import { DecodeCache } from "./decode-cache.js";
import { imageBytes } from "./encoded-image.js";
import { isRandom } from "./transform-lists.js";

/** What all pictures of a loader have in common: plain data, for it goes to the workers. */
export interface ProcessSettings {
  /** In training, and else. */
  transforms: { training: readonly Transform[]; evaluation: readonly Transform[] };
  normalization: Normalization;
  decode: DecodeOptions;
  cacheDir: string | null;
  seed: number;
}

/** One picture to be done. */
export interface ImageJob {
  id: number;
  bytes: Uint8Array | null;
  path: string | null;
  /** Row in its data set, which with the epoch decides about random transforms. */
  row: number;
  epoch: number;
  training: boolean;
  /** Whether the cache may grow. */
  store: boolean;
  /** Memory for the pixels, taken where it has their size. */
  out: Float32Array<ArrayBuffer> | null;
}

/** What became of it. */
export type ImageResult =
  | {
      id: number;
      ok: true;
      /** [3, height, width] */
      pixelValues: Float32Array<ArrayBuffer>;
      width: number;
      height: number;
      cache: "hit" | "miss" | "damaged" | "off";
      /** Bytes that the cache has grown by. */
      stored: number;
      /** Why it could not grow. */
      cacheError: string | null;
    }
  | { id: number; ok: false; code: string; message: string };

/** Does pictures one after another or several at once; holds nothing between them. */
export class ImageProcessor {
  readonly #settings: ProcessSettings;
  readonly #kinds: { training: Kind; evaluation: Kind };

  constructor(settings: ProcessSettings) {
    this.#settings = settings;
    this.#kinds = {
      training: kindOf(settings, settings.transforms.training),
      evaluation: kindOf(settings, settings.transforms.evaluation),
    };
  }

  /** Never rejects: what is wrong with a picture is a result. */
  async process(job: ImageJob): Promise<ImageResult> {
    try {
      return await this.#process(job);
    } catch (thrown) {
      const code = (thrown as { code?: unknown }).code;
      return {
        id: job.id,
        ok: false,
        code: typeof code === "string" ? code : "E_IMAGE",
        message: reason(thrown),
      };
    }
  }

  async #process(job: ImageJob): Promise<ImageResult> {
    const { fixed, random, cache } = job.training ? this.#kinds.training : this.#kinds.evaluation;
    const draw = sampleRandom(this.#settings.seed, job.epoch, job.row);
    let image: RawImage | null = null;
    let found: "hit" | "miss" | "damaged" | "off" = "off";
    let stored = 0;
    let cacheError: string | null = null;
    // At once: a thread of its own may wait for its disk, and promises of files cost ten times as much.
    const bytes = imageBytes(job);
    if (cache === null) {
      image = applyTransforms(await this.#decode(bytes), fixed, draw);
    } else {
      const key = cache.key(bytes);
      const entry = cache.get(key);
      if (typeof entry === "object") {
        found = "hit";
        image = entry.image;
      } else {
        found = entry === "damaged" ? "damaged" : "miss";
        image = applyTransforms(await this.#decode(bytes), fixed, draw);
        if (job.store || entry === "damaged") {
          // A full disk is no reason to go without the picture.
          try {
            stored = cache.set(key, image);
          } catch (thrown) {
            cacheError = reason(thrown);
          }
        }
      }
    }
    if (random.length > 0) image = applyTransforms(image, random, draw);
    const length = 3 * image.width * image.height;
    const pixelValues = job.out?.length === length ? job.out : new Float32Array(length);
    toPixelValues(image, this.#settings.normalization, pixelValues);
    return {
      id: job.id,
      ok: true,
      pixelValues,
      width: image.width,
      height: image.height,
      cache: found,
      stored,
      cacheError,
    };
  }

  #decode(bytes: Uint8Array): Promise<RawImage> {
    return decodeImage(bytes, this.#settings.decode);
  }
}

interface Kind {
  /** The transforms before the first one with chance: what the cache holds the outcome of. */
  fixed: readonly Transform[];
  random: readonly Transform[];
  cache: DecodeCache | null;
}

function kindOf(settings: ProcessSettings, transforms: readonly Transform[]): Kind {
  const first = transforms.findIndex(isRandom);
  const fixed = first < 0 ? transforms : transforms.slice(0, first);
  const cache =
    settings.cacheDir === null
      ? null
      : new DecodeCache(settings.cacheDir, { transforms: fixed, decode: settings.decode });
  return { fixed, random: transforms.slice(fixed.length), cache };
}
