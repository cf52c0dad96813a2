/**
 * BMP: 1, 4, 8 bits with a palette (also run-length encoded), 16, 24 and 32 bits with or without masks, from the bottom or from the top.
 *
 * sharp's libvips reads no BMP. Of the decoders on npm, `bmp-js` is from 2018 and `fast-bmp` reads no palettes, no 4 and 16 bits; the
 * format is small, so this is the decoder. Source: Microsoft's BITMAPINFOHEADER and BITMAPV5HEADER.
 */
import { ImageError } from "../errors.js";
import type { RawImage } from "../raw-image.js";

const RLE8 = 1;
const RLE4 = 2;
const BITFIELDS = 3;
const ALPHA_BITFIELDS = 6;

/** @throws ImageError `E_IMAGE_TRUNCATED`, `E_IMAGE_DECODE` */
export function decodeBmp(bytes: Uint8Array, name: string): RawImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const damaged = (what: string): ImageError =>
    new ImageError("E_IMAGE_DECODE", `${name}a BMP file that cannot be read: ${what}.`);
  const need = (end: number): void => {
    if (end > bytes.length)
      throw new ImageError(
        "E_IMAGE_TRUNCATED",
        `${name}a BMP file that ends too early: ${bytes.length} bytes, expected ${end}. Fetch or copy it again.`,
      );
  };
  need(26);
  const pixelsAt = view.getUint32(10, true);
  const headerSize = view.getUint32(14, true);
  const old = headerSize === 12;
  if (!old && (headerSize < 40 || headerSize > 124)) throw damaged(`a header of ${headerSize} bytes`);
  need(14 + headerSize);
  const width = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const signedHeight = old ? view.getInt16(20, true) : view.getInt32(22, true);
  const height = Math.abs(signedHeight);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? 0 : view.getUint32(30, true);
  if (width < 1 || height < 1 || width * height > 2 ** 28) throw damaged(`${width}x${signedHeight} pixels`);
  const runs = (compression === RLE8 && bits === 8) || (compression === RLE4 && bits === 4);
  const masked = compression === BITFIELDS || compression === ALPHA_BITFIELDS;
  if (![1, 4, 8, 16, 24, 32].includes(bits) || !(runs || compression === 0 || (masked && bits >= 16)))
    throw damaged(`${bits} bits a pixel with compression ${compression}`);

  const data = new Uint8Array(width * height * 3);
  // Where row `y` of the file goes: files begin with the bottom row unless the height is negative.
  const rowAt = (y: number): number => (signedHeight < 0 ? y : height - 1 - y) * width * 3;

  if (bits <= 8) {
    const entry = old ? 3 : 4;
    const paletteAt = 14 + headerSize;
    const asked = old ? 0 : view.getUint32(46, true);
    const colors = Math.min(asked || 1 << bits, 1 << bits);
    need(paletteAt + colors * entry);
    const put = (at: number, index: number): void => {
      if (index >= colors) return;
      const from = paletteAt + index * entry;
      data[at] = bytes[from + 2] as number;
      data[at + 1] = bytes[from + 1] as number;
      data[at + 2] = bytes[from] as number;
    };
    if (runs) decodeRuns(bytes, pixelsAt, bits, width, height, (x, y, index) => put(rowAt(y) + x * 3, index));
    else {
      const stride = ((width * bits + 31) >> 5) * 4;
      need(pixelsAt + stride * height);
      const mask = (1 << bits) - 1;
      for (let y = 0; y < height; y++)
        for (let x = 0, to = rowAt(y); x < width; x++, to += 3) {
          const bit = x * bits;
          const byte = bytes[pixelsAt + y * stride + (bit >> 3)] as number;
          put(to, (byte >> (8 - bits - (bit & 7))) & mask);
        }
    }
    return { data, width, height };
  }

  const size = bits >> 3;
  const stride = ((width * bits + 31) >> 5) * 4;
  need(pixelsAt + stride * height);
  let masks: readonly number[] = bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff];
  if (masked && bits !== 24) {
    need(66);
    masks = [view.getUint32(54, true), view.getUint32(58, true), view.getUint32(62, true)];
  }
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    return { shift, most: mask >>> shift || 1, mask };
  });
  for (let y = 0; y < height; y++)
    for (let x = 0, to = rowAt(y), from = pixelsAt + y * stride; x < width; x++, to += 3, from += size) {
      if (bits === 24) {
        data[to] = bytes[from + 2] as number;
        data[to + 1] = bytes[from + 1] as number;
        data[to + 2] = bytes[from] as number;
        continue;
      }
      const value = bits === 16 ? view.getUint16(from, true) : view.getUint32(from, true);
      for (let c = 0; c < 3; c++) {
        const { shift, most, mask } = channels[c] as (typeof channels)[number];
        data[to + c] = Math.floor((((value & mask) >>> shift) * 255) / most);
      }
    }
  return { data, width, height };
}

/** Runs of 4 or 8-bit indices; what they leave out has index 0. */
function decodeRuns(
  bytes: Uint8Array,
  start: number,
  bits: number,
  width: number,
  height: number,
  put: (x: number, y: number, index: number) => void,
): void {
  const indices = new Uint8Array(width * height);
  let at = start;
  let x = 0;
  let y = 0;
  const set = (index: number): void => {
    if (x < width && y < height) indices[y * width + x] = index;
    x++;
  };
  while (at + 1 < bytes.length && y < height) {
    const count = bytes[at++] as number;
    const value = bytes[at++] as number;
    if (count > 0) {
      for (let i = 0; i < count; i++) set(bits === 8 ? value : i % 2 === 0 ? value >> 4 : value & 15);
    } else if (value === 0) {
      x = 0;
      y++;
    } else if (value === 1) break;
    else if (value === 2) {
      x += bytes[at++] ?? 0;
      y += bytes[at++] ?? 0;
    } else {
      const length = bits === 8 ? value : (value + 1) >> 1;
      for (let i = 0; i < value; i++) {
        const byte = bytes[at + (bits === 8 ? i : i >> 1)] ?? 0;
        set(bits === 8 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15);
      }
      // Padded to whole words.
      at += length + (length & 1);
    }
  }
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) put(column, row, indices[row * width + column] as number);
}
