/**
 * Pillow's resampling of 8-bit pictures, bit for bit: antialiased filters as fixed-point coefficients (22 bits after the point), the
 * rows first, the result rounded to bytes, then the columns.
 *
 * Method: Pillow's `Image.resize` (filters after Keys 1981, a = -0.5 for bicubic), whose results fixtures/ holds.
 */

import type { RawImage } from "./raw-image.js";
import type { Interpolation } from "./transforms.js";

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

interface Filter {
  support: number;
  weight(x: number): number;
}

const bilinear: Filter = {
  support: 1,
  weight(x) {
    const t = Math.abs(x);
    return t < 1 ? 1 - t : 0;
  },
};

const bicubic: Filter = {
  support: 2,
  weight(x) {
    const a = -0.5;
    const t = Math.abs(x);
    if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
  },
};

/** For each position of the output: where its window begins in the input, how long it is, and its weights. */
interface Windows {
  /** The length of the longest window: `weights` has that many for each output position, 0 after its own. */
  taps: number;
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
}

const remembered = new Map<string, Windows>();

function windowsOf(filter: Filter, from: number, to: number): Windows {
  // A data set has few sizes; bounded, since a folder of photographs may have many.
  const key = `${filter.support} ${from} ${to}`;
  const known = remembered.get(key);
  if (known) return known;
  const scale = from / to;
  const filterScale = Math.max(scale, 1);
  const support = filter.support * filterScale;
  const taps = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Int32Array(to * taps);
  const real = new Float64Array(taps);
  for (let x = 0; x < to; x++) {
    const center = (x + 0.5) * scale;
    const start = Math.max(Math.trunc(center - support + 0.5), 0);
    const length = Math.min(Math.trunc(center + support + 0.5), from) - start;
    let sum = 0;
    for (let i = 0; i < length; i++) {
      const w = filter.weight((i + start - center + 0.5) * (1 / filterScale));
      real[i] = w;
      sum += w;
    }
    for (let i = 0; i < length; i++) {
      const w = sum === 0 ? (real[i] as number) : (real[i] as number) / sum;
      weights[x * taps + i] = Math.trunc((w < 0 ? -0.5 : 0.5) + w * (1 << PRECISION));
    }
    first[x] = start;
    count[x] = length;
  }
  const windows = { taps, first, count, weights };
  if (remembered.size >= 64) remembered.clear();
  remembered.set(key, windows);
  return windows;
}

/** The part of the output that is wanted. */
export interface Region {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Rows `firstRow` to `firstRow + rows` of the picture, each resampled to the columns of the region. */
function resampleRows(
  image: RawImage,
  w: Windows,
  region: Region,
  firstRow: number,
  rows: number,
): Uint8Array {
  const { data, width } = image;
  const { taps, first, count, weights } = w;
  const out = new Uint8ClampedArray(rows * region.width * 3);
  let to = 0;
  for (let y = firstRow; y < firstRow + rows; y++) {
    const row = y * width * 3;
    for (let x = region.left; x < region.left + region.width; x++) {
      let from = row + (first[x] as number) * 3;
      let k = x * taps;
      const end = k + (count[x] as number);
      let r = HALF;
      let g = HALF;
      let b = HALF;
      for (; k < end; k++, from += 3) {
        const weight = weights[k] as number;
        r += Math.imul(data[from] as number, weight);
        g += Math.imul(data[from + 1] as number, weight);
        b += Math.imul(data[from + 2] as number, weight);
      }
      out[to] = r >> PRECISION;
      out[to + 1] = g >> PRECISION;
      out[to + 2] = b >> PRECISION;
      to += 3;
    }
  }
  return new Uint8Array(out.buffer);
}

/** The rows of the region, each a weighted sum of rows of `data`, which begins with row `firstRow` of the picture. */
function resampleColumns(data: Uint8Array, w: Windows, region: Region, firstRow: number): Uint8Array {
  const { taps, first, count, weights } = w;
  const length = region.width * 3;
  const out = new Uint8ClampedArray(region.height * length);
  const sums = new Int32Array(length);
  for (let y = 0; y < region.height; y++) {
    const from = ((first[y + region.top] as number) - firstRow) * length;
    const many = count[y + region.top] as number;
    const k = (y + region.top) * taps;
    sums.fill(HALF);
    for (let i = 0; i < many; i++) {
      const weight = weights[k + i] as number;
      const row = from + i * length;
      for (let x = 0; x < length; x++)
        sums[x] = (sums[x] as number) + Math.imul(data[row + x] as number, weight);
    }
    const at = y * length;
    for (let x = 0; x < length; x++) out[at + x] = (sums[x] as number) >> PRECISION;
  }
  return new Uint8Array(out.buffer);
}

function nearest(image: RawImage, width: number, height: number, region: Region): Uint8Array {
  // Added up as Pillow does it: a product may fall on the other side of a whole number.
  const places = (from: number, to: number, start: number, many: number): Int32Array => {
    const scale = from / to;
    const out = new Int32Array(many);
    let at = scale * 0.5;
    for (let i = 0; i < start + many; i++, at += scale) if (i >= start) out[i - start] = Math.trunc(at);
    return out;
  };
  const columns = places(image.width, width, region.left, region.width);
  const rows = places(image.height, height, region.top, region.height);
  const out = new Uint8Array(region.width * region.height * 3);
  let to = 0;
  for (const y of rows)
    for (const x of columns) {
      const from = (y * image.width + x) * 3;
      out[to++] = image.data[from] as number;
      out[to++] = image.data[from + 1] as number;
      out[to++] = image.data[from + 2] as number;
    }
  return out;
}

/**
 * A part of the picture after resizing it to `width` x `height`: as if the whole were resized and then cut, without computing the rest.
 * @param region inside of the resized picture. Default: all of it
 */
export function resample(
  image: RawImage,
  width: number,
  height: number,
  interpolation: Interpolation,
  region: Region = { left: 0, top: 0, width, height },
): RawImage {
  const size = { width: region.width, height: region.height };
  if (interpolation === "nearest") return { data: nearest(image, width, height, region), ...size };
  const filter = interpolation === "bilinear" ? bilinear : bicubic;
  const columns = windowsOf(filter, image.width, width);
  const rows = windowsOf(filter, image.height, height);
  const changesHeight = height !== image.height;
  // Only the rows that the second pass reads.
  const last = region.top + region.height - 1;
  const firstRow = changesHeight ? (rows.first[region.top] as number) : region.top;
  const endRow = changesHeight ? (rows.first[last] as number) + (rows.count[last] as number) : last + 1;
  let data: Uint8Array;
  if (width !== image.width) data = resampleRows(image, columns, region, firstRow, endRow - firstRow);
  else
    data = cutBytes(image, {
      left: region.left,
      top: firstRow,
      width: region.width,
      height: endRow - firstRow,
    });
  if (changesHeight) data = resampleColumns(data, rows, region, firstRow);
  return { data, ...size };
}

/** The bytes of a part of the picture. */
export function cutBytes(image: RawImage, region: Region): Uint8Array {
  if (region.left === 0 && region.width === image.width)
    return image.data.slice(region.top * image.width * 3, (region.top + region.height) * image.width * 3);
  const out = new Uint8Array(region.width * region.height * 3);
  for (let y = 0; y < region.height; y++) {
    const from = ((region.top + y) * image.width + region.left) * 3;
    out.set(image.data.subarray(from, from + region.width * 3), y * region.width * 3);
  }
  return out;
}
