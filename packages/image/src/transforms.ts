/**
 * What is done to pictures before a model sees them, as plain JSON (it goes to workers and into files), with torchvision's names and
 * meaning. Random ones take their numbers from the caller, so a seed for each picture makes them the same in any order of work.
 */
import { adjustColors, type ColorChange } from "./color-jitter.js";
import { ImageError } from "./errors.js";
import { expectImage, type RawImage } from "./raw-image.js";
import { cutBytes, type Region, resample } from "./resample.js";

/** How new pixels are made of old ones. `bicubic` and `bilinear` are antialiased where the picture shrinks. */
export type Interpolation = "bicubic" | "bilinear" | "nearest";

/** A number for a square (resize: for the shortest edge), or `[height, width]`. */
export type Size = number | readonly [height: number, width: number];

/** Resizes: a number is the new shortest edge, the other follows as `floor(size * long / short)`. */
export interface Resize {
  type: "resize";
  size: Size;
  /** Default `"bilinear"`, as in torchvision. */
  interpolation?: Interpolation;
}

/**
 * Cuts the middle out, at `floor((length - size) / 2)` as CLIP's processor does (torchvision rounds half to even); what is smaller than the
 * crop gets black edges.
 */
export interface CenterCrop {
  type: "centerCrop";
  size: Size;
}

/** Cuts out a random part and resizes it to `size`. */
export interface RandomResizedCrop {
  type: "randomResizedCrop";
  size: Size;
  /** Area of the part, as a share of the picture's. Default `[0.08, 1]`. */
  scale?: readonly [number, number];
  /** Width over height of the part. Default `[3/4, 4/3]`. */
  ratio?: readonly [number, number];
  /** Default `"bilinear"`, as in torchvision. */
  interpolation?: Interpolation;
}

/** Mirrors left and right with probability `p`. */
export interface RandomHorizontalFlip {
  type: "randomHorizontalFlip";
  /** Default 0.5. */
  p?: number;
}

/**
 * Changes brightness, contrast, saturation and hue by random amounts in random order. A number b means a factor of `max(0, 1 - b)` to
 * `1 + b` (hue: a shift of `-b` to `b` turns, b at most 0.5), a pair the bounds themselves. Default 0: unchanged.
 */
export interface ColorJitter {
  type: "colorJitter";
  brightness?: number | readonly [number, number];
  contrast?: number | readonly [number, number];
  saturation?: number | readonly [number, number];
  hue?: number | readonly [number, number];
}

/** One step. */
export type Transform = Resize | CenterCrop | RandomResizedCrop | RandomHorizontalFlip | ColorJitter;

const wrong = (transform: Transform, index: number, what: string): ImageError =>
  new ImageError("E_IMAGE_TRANSFORM", `transforms[${index}] (${transform.type}): ${what}`);

/** `[height, width]` of a size. */
const pair = (size: Size): readonly [number, number] => (typeof size === "number" ? [size, size] : size);

const interpolations = new Set<unknown>(["bicubic", "bilinear", "nearest"]);

const known: Record<Transform["type"], readonly string[]> = {
  resize: ["size", "interpolation"],
  centerCrop: ["size"],
  randomResizedCrop: ["size", "scale", "ratio", "interpolation"],
  randomHorizontalFlip: ["p"],
  colorJitter: ["brightness", "contrast", "saturation", "hue"],
};

/**
 * Reads a list of transforms from JSON, for example a recipe.
 * @returns the same list, checked
 * @throws ImageError `E_IMAGE_TRANSFORM` naming the entry, its value and what was expected
 */
export function checkTransforms(transforms: readonly Transform[]): readonly Transform[] {
  if (!Array.isArray(transforms))
    throw new ImageError(
      "E_IMAGE_TRANSFORM",
      `transforms: expected a list, found ${JSON.stringify(transforms)}.`,
    );
  for (const [index, transform] of transforms.entries()) check(transform, index);
  return transforms;
}

function check(transform: Transform, index: number): void {
  const options = known[transform?.type];
  if (!options)
    throw new ImageError(
      "E_IMAGE_TRANSFORM",
      `transforms[${index}]: ${JSON.stringify(transform)} is no known transform. Known types: ${Object.keys(known).join(", ")}.`,
    );
  const unknown = Object.keys(transform).find((key) => key !== "type" && !options.includes(key));
  if (unknown !== undefined)
    throw wrong(transform, index, `unknown option ${unknown}. It has: ${options.join(", ")}.`);
  if ("size" in transform || options.includes("size")) {
    const { size } = transform as Resize;
    const sizes = typeof size === "number" ? [size] : size;
    if (
      !Array.isArray(sizes) ||
      (typeof size !== "number" && sizes.length !== 2) ||
      !sizes.every((value) => Number.isInteger(value) && value > 0)
    )
      throw wrong(
        transform,
        index,
        `size is ${JSON.stringify(size)}, expected a whole number over 0 or [height, width].`,
      );
  }
  if ("interpolation" in transform && transform.interpolation !== undefined)
    if (!interpolations.has(transform.interpolation))
      throw wrong(
        transform,
        index,
        `interpolation is ${JSON.stringify(transform.interpolation)}, expected bicubic, bilinear or nearest.`,
      );
  if (transform.type === "randomHorizontalFlip") {
    const { p = 0.5 } = transform;
    if (!(p >= 0 && p <= 1)) throw wrong(transform, index, `p is ${p}, expected 0 to 1.`);
  }
  if (transform.type === "randomResizedCrop")
    for (const key of ["scale", "ratio"] as const) {
      const value = transform[key];
      if (value === undefined) continue;
      if (!Array.isArray(value) || value.length !== 2 || !(value[0] > 0) || !(value[1] >= value[0]))
        throw wrong(
          transform,
          index,
          `${key} is ${JSON.stringify(value)}, expected [smallest, largest], both over 0.`,
        );
    }
  if (transform.type === "colorJitter")
    for (const key of ["brightness", "contrast", "saturation", "hue"] as const) {
      const range = rangeOf(transform, key);
      const [least, most] = key === "hue" ? [-0.5, 0.5] : [0, Number.POSITIVE_INFINITY];
      if (range && !(range[0] >= least && range[0] <= range[1] && range[1] <= most))
        throw wrong(
          transform,
          index,
          `${key} is ${JSON.stringify(transform[key])}, expected ${
            key === "hue"
              ? "a number of 0 to 0.5 or [from, to] within -0.5 to 0.5"
              : "a number of 0 or more, or [from, to]"
          }.`,
        );
    }
}

function rangeOf(jitter: ColorJitter, key: ColorChange["kind"]): readonly [number, number] | undefined {
  const value = jitter[key];
  if (value === undefined) return undefined;
  if (typeof value !== "number") return value;
  // A negative number is no range: the check names it.
  if (value < 0) return [Number.NaN, Number.NaN];
  if (value === 0) return undefined;
  return key === "hue" ? [-value, value] : [Math.max(0, 1 - value), 1 + value];
}

/** Python's round: halves go to the even neighbour. */
function round(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/**
 * `[height, width]` after a resize.
 * @param size a number for the shortest edge, the other is `floor(size * long / short)`, never under 1
 */
export function resizedSize(
  image: { width: number; height: number },
  size: Size,
): [height: number, width: number] {
  if (typeof size !== "number") return [size[0], size[1]];
  const { width, height } = image;
  if (width <= height) return [width === size ? height : Math.floor((size * height) / width), size];
  return [size, height === size ? width : Math.floor((size * width) / height)];
}

/**
 * Resizes as Pillow does, bit for bit.
 * @param size a number for the shortest edge (the other follows), or `[height, width]`
 * @param interpolation default `"bicubic"`
 */
export function resize(image: RawImage, size: Size, interpolation: Interpolation = "bicubic"): RawImage {
  expectImage("resize", image);
  check({ type: "resize", size, interpolation }, 0);
  const [height, width] = resizedSize(image, size);
  return height === image.height && width === image.width
    ? image
    : resample(image, width, height, interpolation);
}

/** Cuts the middle out; what is smaller than the crop gets black edges. @param size a number for a square, or `[height, width]` */
export function centerCrop(image: RawImage, size: Size): RawImage {
  expectImage("centerCrop", image);
  check({ type: "centerCrop", size }, 0);
  const [height, width] = pair(size);
  return cropOrPad(image, height, width);
}

/** The middle of a length as CLIP's processor takes it: where the crop begins, and black pixels before the picture. */
function middle(length: number, crop: number): { start: number; before: number; kept: number } {
  const start = Math.floor((length - crop) / 2);
  if (start >= 0) return { start, before: 0, kept: crop };
  return { start: 0, before: -start, kept: length };
}

function cropOrPad(image: RawImage, height: number, width: number): RawImage {
  const x = middle(image.width, width);
  const y = middle(image.height, height);
  const region = { left: x.start, top: y.start, width: x.kept, height: y.kept };
  if (region.width === image.width && region.height === image.height && width === x.kept && height === y.kept)
    return image;
  return onBlack(crop(image, region), x.before, y.before, width, height);
}

function onBlack(image: RawImage, left: number, top: number, width: number, height: number): RawImage {
  if (image.width === width && image.height === height) return image;
  const data = new Uint8Array(width * height * 3);
  const row = image.width * 3;
  for (let y = 0; y < image.height; y++)
    data.set(image.data.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * 3);
  return { data, width, height };
}

const crop = (image: RawImage, region: Region): RawImage => ({
  data: cutBytes(image, region),
  width: region.width,
  height: region.height,
});

/** Resize and centre crop in one: what the crop leaves out is never computed. The result is the same. */
function resizeThenCrop(image: RawImage, step: Resize, size: Size): RawImage {
  const [height, width] = resizedSize(image, step.size);
  const [cropHeight, cropWidth] = pair(size);
  const x = middle(width, cropWidth);
  const y = middle(height, cropHeight);
  const region = { left: x.start, top: y.start, width: x.kept, height: y.kept };
  const part =
    width === image.width && height === image.height
      ? cropOrPad(image, y.kept, x.kept)
      : resample(image, width, height, step.interpolation ?? "bilinear", region);
  return onBlack(part, x.before, y.before, cropWidth, cropHeight);
}

function randomRegion(image: RawImage, step: RandomResizedCrop, random: () => number): Region {
  const { width, height } = image;
  const [scaleFrom, scaleTo] = step.scale ?? [0.08, 1];
  const [ratioFrom, ratioTo] = step.ratio ?? [3 / 4, 4 / 3];
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * (scaleFrom + (scaleTo - scaleFrom) * random());
    const logFrom = Math.log(ratioFrom);
    const ratio = Math.exp(logFrom + (Math.log(ratioTo) - logFrom) * random());
    const w = round(Math.sqrt(area * ratio));
    const h = round(Math.sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const top = Math.floor(random() * (height - h + 1));
    const left = Math.floor(random() * (width - w + 1));
    return { left, top, width: w, height: h };
  }
  // No attempt fitted: the largest middle part whose ratio is allowed.
  let w = width;
  let h = height;
  if (width / height < ratioFrom) h = Math.max(1, Math.min(height, round(width / ratioFrom)));
  else if (width / height > ratioTo) w = Math.max(1, Math.min(width, round(height * ratioTo)));
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h };
}

function flip(image: RawImage): RawImage {
  const { width, height, data } = image;
  const out = new Uint8Array(data.length);
  let to = 0;
  for (let y = 0; y < height; y++)
    for (let from = (y * width + width - 1) * 3, x = 0; x < width; x++, from -= 3, to += 3) {
      out[to] = data[from] as number;
      out[to + 1] = data[from + 1] as number;
      out[to + 2] = data[from + 2] as number;
    }
  return { data: out, width, height };
}

function jitter(image: RawImage, step: ColorJitter, random: () => number): RawImage {
  const kinds: ColorChange["kind"][] = ["brightness", "contrast", "saturation", "hue"];
  // Fisher-Yates; every picture takes the same count of random numbers whatever the settings.
  for (let i = kinds.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const kind = kinds[i] as ColorChange["kind"];
    kinds[i] = kinds[j] as ColorChange["kind"];
    kinds[j] = kind;
  }
  const changes: ColorChange[] = [];
  for (const kind of kinds) {
    const draw = random();
    const range = rangeOf(step, kind);
    if (range) changes.push({ kind, amount: range[0] + (range[1] - range[0]) * draw });
  }
  return adjustColors(image, changes);
}

/**
 * Applies transforms one after the other. The given picture stays as it is (where nothing changes, it is returned itself).
 * @param random numbers in [0, 1), read in the order of the transforms
 * @throws ImageError `E_IMAGE_TRANSFORM` for a transform that makes no sense, `E_IMAGE_SHAPE` for a picture that is none
 */
export function applyTransforms(
  image: RawImage,
  transforms: readonly Transform[],
  random: () => number,
): RawImage {
  expectImage("applyTransforms", image);
  checkTransforms(transforms);
  let now = image;
  for (let i = 0; i < transforms.length; i++) {
    const step = transforms[i] as Transform;
    if (step.type === "resize") {
      const next = transforms[i + 1];
      if (next?.type === "centerCrop") {
        now = resizeThenCrop(now, step, next.size);
        i++;
      } else now = resize(now, step.size, step.interpolation ?? "bilinear");
    } else if (step.type === "centerCrop") now = centerCrop(now, step.size);
    else if (step.type === "randomResizedCrop") {
      const [height, width] = pair(step.size);
      const part = crop(now, randomRegion(now, step, random));
      now = resize(part, [height, width], step.interpolation ?? "bilinear");
    } else if (step.type === "randomHorizontalFlip") {
      if (random() < (step.p ?? 0.5)) now = flip(now);
    } else now = jitter(now, step, random);
  }
  return now;
}
