import { ImageError } from "./errors.js";
import { expectImage, type RawImage } from "./raw-image.js";

/** How bytes become what a model takes: `(value * rescaleFactor - mean[c]) / std[c]`. */
export interface Normalization {
  /** Usually 1/255. */
  rescaleFactor: number;
  /** One number for each channel, red first. */
  mean: readonly number[];
  /** One number for each channel, red first; none is 0. */
  std: readonly number[];
}

/** @throws ImageError `E_IMAGE_TRANSFORM` unless there are three finite means and three finite deviations other than 0 */
export function checkNormalization(normalization: Normalization): void {
  const { rescaleFactor, mean, std } = normalization;
  const wrong = (what: string) => {
    throw new ImageError("E_IMAGE_TRANSFORM", `normalization: ${what}`);
  };
  if (!Number.isFinite(rescaleFactor)) wrong(`rescaleFactor is ${rescaleFactor}, expected a number.`);
  if (mean.length !== 3 || !mean.every(Number.isFinite))
    wrong(`mean is [${mean.join(", ")}], expected 3 numbers (red, green, blue).`);
  if (std.length !== 3 || !std.every((value) => Number.isFinite(value) && value !== 0))
    wrong(`std is [${std.join(", ")}], expected 3 numbers other than 0 (red, green, blue).`);
}

// One table for each normalisation: 3 x 256 results, computed in float64 and rounded once.
const tables = new WeakMap<Normalization, Float32Array>();

function tableOf(normalization: Normalization): Float32Array {
  let table = tables.get(normalization);
  if (!table) {
    checkNormalization(normalization);
    table = new Float32Array(768);
    for (let c = 0; c < 3; c++)
      for (let v = 0; v < 256; v++)
        table[c * 256 + v] =
          (v * normalization.rescaleFactor - (normalization.mean[c] as number)) /
          (normalization.std[c] as number);
    tables.set(normalization, table);
  }
  return table;
}

/**
 * A picture as a model takes it: `[3, height, width]` float32, normalised.
 * @param normalization remembered by the object: do not change its numbers afterwards
 * @param out written to where given, for example the memory of a whole batch
 * @param at the first element of `out` to be written. Default 0
 * @returns `out`, or a new array of `3 * height * width`
 * @throws ImageError `E_IMAGE_SHAPE` where `out` is too short, `E_IMAGE_TRANSFORM` for a normalisation that makes no sense
 */
export function toPixelValues(
  image: RawImage,
  normalization: Normalization,
  out?: Float32Array,
  at = 0,
): Float32Array {
  expectImage("toPixelValues", image);
  const { data } = image;
  const size = image.width * image.height;
  const target = out ?? new Float32Array(at + 3 * size);
  if (target.length < at + 3 * size || at < 0)
    throw new ImageError(
      "E_IMAGE_SHAPE",
      `toPixelValues: [3, ${image.height}, ${image.width}] at ${at} needs ${at + 3 * size} elements, out has ${target.length}.`,
    );
  const table = tableOf(normalization);
  for (let i = 0, from = 0, to = at; i < size; i++, from += 3, to++) {
    target[to] = table[data[from] as number] as number;
    target[to + size] = table[256 + (data[from + 1] as number)] as number;
    target[to + 2 * size] = table[512 + (data[from + 2] as number)] as number;
  }
  return target;
}
