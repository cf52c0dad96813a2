/**
 * CLIP's image processor, with Hugging Face's file, names and defaults: shortest edge to 224 (bicubic, antialiased), centre crop,
 * rescaling, normalising. The pixels are those of transformers' PIL path, to the bit (`@wgrad/image`).
 */
import {
  applyTransforms,
  checkNormalization,
  checkTransforms,
  ImageError,
  type Interpolation,
  type Normalization,
  type RawImage,
  type Transform,
  toPixelValues,
} from "@wgrad/image";
import { ImageProcessorError } from "../errors.js";
import type { TextFileWriter } from "../tokenizer/types.js";

/** The name of the file in a folder. */
export const IMAGE_PROCESSOR_FILE = "preprocessor_config.json";

/** Height and width in pixels. */
export interface ImageSize {
  height: number;
  width: number;
}

/** What `preprocess` gives. */
export interface PixelValues {
  /** `[B, 3, H, W]`, normalised. */
  pixelValues: Float32Array;
  shape: [batch: number, channels: 3, height: number, width: number];
}

/** Settings of `CLIPImageProcessor`, named as in transformers. */
export interface CLIPImageProcessorOptions {
  /** Default true. Files are RGB once decoded; kept for the file. */
  doConvertRgb?: boolean;
  /** Default true. */
  doResize?: boolean;
  /** The shortest edge, or height and width. Default 224 for the shortest edge. */
  size?: number | { shortestEdge: number } | ImageSize;
  /** Default `"bicubic"`. */
  resample?: Interpolation;
  /** Default true. */
  doCenterCrop?: boolean;
  /** Default 224 by 224. */
  cropSize?: number | ImageSize;
  /** Default true. */
  doRescale?: boolean;
  /** Default 1/255. */
  rescaleFactor?: number;
  /** Default true. */
  doNormalize?: boolean;
  /** Red, green, blue. Default: those of OpenAI's CLIP. */
  imageMean?: readonly number[];
  /** Red, green, blue. Default: those of OpenAI's CLIP. */
  imageStd?: readonly number[];
}

const OPENAI_CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const OPENAI_CLIP_STD = [0.26862954, 0.26130258, 0.27577711];

/** Pillow's numbers for its filters. */
const filters: readonly [number, Interpolation][] = [
  [0, "nearest"],
  [2, "bilinear"],
  [3, "bicubic"],
];
const filterNames: Record<number, string> = { 1: "lanczos", 4: "box", 5: "hamming" };

/** From picture to pixel values, as CLIP was trained. */
export class CLIPImageProcessor {
  readonly doConvertRgb: boolean;
  readonly doResize: boolean;
  readonly size: { readonly shortestEdge: number } | Readonly<ImageSize>;
  readonly resample: Interpolation;
  readonly doCenterCrop: boolean;
  readonly cropSize: Readonly<ImageSize>;
  readonly doRescale: boolean;
  readonly rescaleFactor: number;
  readonly doNormalize: boolean;
  readonly imageMean: readonly number[];
  readonly imageStd: readonly number[];
  /** The steps before normalising, as plain JSON: for `applyTransforms`, and for workers. */
  readonly transforms: readonly Transform[];
  /** The last step, as plain JSON: for `toPixelValues`, and for workers. */
  readonly normalization: Normalization;
  readonly #writeText: TextFileWriter | undefined;

  /**
   * @param writeText how `savePretrained` writes, where there is a file system
   * @throws ImageProcessorError `E_IMAGE_PROCESSOR_CONFIG` naming the setting, what it is and what was expected
   */
  constructor(options: CLIPImageProcessorOptions = {}, writeText?: TextFileWriter) {
    this.doConvertRgb = options.doConvertRgb ?? true;
    this.doResize = options.doResize ?? true;
    const size = options.size ?? 224;
    this.size = typeof size === "number" ? { shortestEdge: size } : size;
    this.resample = options.resample ?? "bicubic";
    this.doCenterCrop = options.doCenterCrop ?? true;
    const crop = options.cropSize ?? 224;
    this.cropSize = typeof crop === "number" ? { height: crop, width: crop } : crop;
    this.doRescale = options.doRescale ?? true;
    this.rescaleFactor = options.rescaleFactor ?? 1 / 255;
    this.doNormalize = options.doNormalize ?? true;
    this.imageMean = options.imageMean ?? OPENAI_CLIP_MEAN;
    this.imageStd = options.imageStd ?? OPENAI_CLIP_STD;
    this.#writeText = writeText;

    const transforms: Transform[] = [];
    if (this.doResize)
      transforms.push({
        type: "resize",
        size: "shortestEdge" in this.size ? this.size.shortestEdge : [this.size.height, this.size.width],
        interpolation: this.resample,
      });
    if (this.doCenterCrop)
      transforms.push({ type: "centerCrop", size: [this.cropSize.height, this.cropSize.width] });
    this.transforms = transforms;
    this.normalization = {
      rescaleFactor: this.doRescale ? this.rescaleFactor : 1,
      mean: this.doNormalize ? this.imageMean : [0, 0, 0],
      std: this.doNormalize ? this.imageStd : [1, 1, 1],
    };
    try {
      checkTransforms(this.transforms);
      checkNormalization(this.normalization);
    } catch (cause) {
      if (!(cause instanceof ImageError)) throw cause;
      throw new ImageProcessorError("E_IMAGE_PROCESSOR_CONFIG", cause.message, { cause });
    }
  }

  /**
   * @param json what `preprocessor_config.json` holds; sizes as numbers or as objects. What it leaves out is CLIP's.
   * @param file named in errors
   * @throws ImageProcessorError `E_IMAGE_PROCESSOR_CONFIG` naming the file, the key, its value and what was expected
   */
  static fromJson(
    json: Readonly<Record<string, unknown>>,
    file = IMAGE_PROCESSOR_FILE,
    writeText?: TextFileWriter,
  ): CLIPImageProcessor {
    const read = new ConfigReader(json, file);
    read.expectClip();
    try {
      return new CLIPImageProcessor(
        {
          doConvertRgb: read.flag("do_convert_rgb"),
          doResize: read.flag("do_resize"),
          size: read.size(),
          resample: read.filter(),
          doCenterCrop: read.flag("do_center_crop"),
          cropSize: read.cropSize(),
          doRescale: read.flag("do_rescale"),
          rescaleFactor: read.number("rescale_factor"),
          doNormalize: read.flag("do_normalize"),
          imageMean: read.numbers("image_mean"),
          imageStd: read.numbers("image_std"),
        },
        writeText,
      );
    } catch (error) {
      if (error instanceof ImageProcessorError && !error.message.startsWith(file))
        throw new ImageProcessorError(error.code, `${file}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  /** What `preprocessor_config.json` holds: Hugging Face's keys. */
  toJson(): Record<string, unknown> {
    return {
      crop_size: { ...this.cropSize },
      do_center_crop: this.doCenterCrop,
      do_convert_rgb: this.doConvertRgb,
      do_normalize: this.doNormalize,
      do_rescale: this.doRescale,
      do_resize: this.doResize,
      image_mean: [...this.imageMean],
      image_processor_type: "CLIPImageProcessor",
      image_std: [...this.imageStd],
      resample: filters.find(([, name]) => name === this.resample)?.[0] ?? 3,
      rescale_factor: this.rescaleFactor,
      size: "shortestEdge" in this.size ? { shortest_edge: this.size.shortestEdge } : { ...this.size },
    };
  }

  /** Pictures as the model takes them. Without a centre crop all must come out with one size. */
  preprocess(images: RawImage | readonly RawImage[]): PixelValues {
    const list = Array.isArray(images) ? (images as readonly RawImage[]) : [images as RawImage];
    if (list.length === 0)
      throw new ImageProcessorError("E_IMAGE_PROCESSOR_INPUT", "preprocess: the list of pictures is empty.");
    let out = new Float32Array(0);
    let height = 0;
    let width = 0;
    for (const [i, image] of list.entries()) {
      const done = applyTransforms(image, this.transforms, noRandom);
      if (i === 0) {
        ({ height, width } = done);
        out = new Float32Array(list.length * 3 * height * width);
      } else if (done.height !== height || done.width !== width)
        throw new ImageProcessorError(
          "E_IMAGE_PROCESSOR_INPUT",
          `preprocess: picture ${i} comes out with ${done.width}x${done.height} pixels, picture 0 with ${width}x${height}; a batch needs one size. Turn do_center_crop on, or give size as height and width.`,
        );
      toPixelValues(done, this.normalization, out, i * 3 * height * width);
    }
    return { pixelValues: out, shape: [list.length, 3, height, width] };
  }

  /** The file by name: what `savePretrained` writes, for places without a file system. */
  toFiles(): Record<string, string> {
    return { [IMAGE_PROCESSOR_FILE]: `${JSON.stringify(this.toJson(), null, 2)}\n` };
  }

  /**
   * Writes `preprocessor_config.json`, first under another name.
   * @returns The names of the files.
   * @throws ImageProcessorError `E_IMAGE_PROCESSOR_SAVE` where there is no file system.
   */
  async savePretrained(folder: string): Promise<string[]> {
    if (this.#writeText === undefined)
      throw new ImageProcessorError(
        "E_IMAGE_PROCESSOR_SAVE",
        "this image processor was made without a file system. Take AutoImageProcessor from @wgrad/models/node, or use toFiles().",
      );
    for (const [name, text] of Object.entries(this.toFiles())) await this.#writeText(folder, name, text);
    return Object.keys(this.toFiles());
  }
}

/** Nothing that the processor does is random. */
const noRandom = (): number => 0;

/** Values of the file, checked one by one; null and what is missing are undefined. */
class ConfigReader {
  constructor(
    private readonly json: Readonly<Record<string, unknown>>,
    private readonly file: string,
  ) {
    if (typeof json !== "object" || json === null || Array.isArray(json))
      throw this.error("", "an object", json);
  }

  private error(key: string, expected: string, value: unknown = this.json[key]): ImageProcessorError {
    const shown = JSON.stringify(value);
    return new ImageProcessorError(
      "E_IMAGE_PROCESSOR_CONFIG",
      `${this.file}: ${key === "" ? "it" : key} is ${shown}, expected ${expected}.`,
    );
  }

  /** Other processors have other steps and other defaults. */
  expectClip(): void {
    const { image_processor_type, feature_extractor_type } = this.json;
    const type = image_processor_type ?? feature_extractor_type;
    if (type === undefined || /^CLIP(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/.test(String(type))) return;
    const key = image_processor_type === undefined ? "feature_extractor_type" : "image_processor_type";
    throw this.error(key, "CLIPImageProcessor, the only one that is known");
  }

  flag(key: string): boolean | undefined {
    const value = this.json[key] ?? undefined;
    if (value === undefined || typeof value === "boolean") return value;
    throw this.error(key, "true or false");
  }

  number(key: string): number | undefined {
    const value = this.json[key] ?? undefined;
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    throw this.error(key, "a number");
  }

  numbers(key: string): number[] | undefined {
    const value = this.json[key] ?? undefined;
    if (value === undefined) return undefined;
    // One number stands for all channels.
    if (typeof value === "number") return [value, value, value];
    if (Array.isArray(value) && value.length === 3 && value.every((one) => typeof one === "number"))
      return value;
    throw this.error(key, "3 numbers (red, green, blue)");
  }

  filter(): Interpolation | undefined {
    const value = this.json.resample ?? undefined;
    if (value === undefined) return undefined;
    const found = filters.find(([number]) => number === value)?.[1];
    if (found) return found;
    const name = filterNames[value as number];
    throw this.error(
      "resample",
      `0 (nearest), 2 (bilinear) or 3 (bicubic)${name ? `; ${value} (${name}) is not made here` : ""}`,
    );
  }

  size(): CLIPImageProcessorOptions["size"] {
    const value = this.json.size ?? undefined;
    if (value === undefined || isLength(value)) return value;
    const object = value as Record<string, unknown>;
    if (typeof value === "object") {
      const keys = Object.keys(object).filter((key) => object[key] !== null);
      if (keys.length === 1 && isLength(object.shortest_edge)) return { shortestEdge: object.shortest_edge };
      if (keys.length === 2 && isLength(object.height) && isLength(object.width))
        return { height: object.height, width: object.width };
    }
    throw this.error(
      "size",
      'a whole number over 0 for the shortest edge, {"shortest_edge": 224} or {"height": 224, "width": 224}',
    );
  }

  cropSize(): CLIPImageProcessorOptions["cropSize"] {
    const value = this.json.crop_size ?? undefined;
    if (value === undefined || isLength(value)) return value;
    const object = value as Record<string, unknown>;
    if (typeof value === "object" && isLength(object.height) && isLength(object.width))
      return { height: object.height, width: object.width };
    throw this.error("crop_size", 'a whole number over 0 or {"height": 224, "width": 224}');
  }
}

function isLength(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}
