/**
 * Brightness, contrast, saturation and hue of 8-bit pictures in Pillow's arithmetic, which torchvision's `adjust_*` functions use:
 * blends in float32 cut to bytes, grey as (19595 R + 38470 G + 7471 B + 32768) >> 16, hue as a byte.
 */
import type { RawImage } from "./raw-image.js";

/** One change. */
export interface ColorChange {
  kind: "brightness" | "contrast" | "saturation" | "hue";
  /** A factor, 1 changes nothing; for hue a shift in turns, 0 changes nothing. */
  amount: number;
}

const grey = (data: Uint8Array, at: number): number =>
  ((data[at] as number) * 19595 +
    (data[at + 1] as number) * 38470 +
    (data[at + 2] as number) * 7471 +
    32768) >>>
  16;

/** `from + factor * (to - from)` cut to a byte: Pillow's blend, in float32 as it is computed there. */
function blend(from: number, to: number, factor: number): number {
  const value = Math.fround(from + Math.fround(factor * (to - from)));
  return value <= 0 ? 0 : value >= 255 ? 255 : Math.trunc(value);
}

/** Toward a constant: black for brightness, the mean grey for contrast. One table does it. */
function towardConstant(data: Uint8Array, constant: number, factor: number): Uint8Array {
  const table = Uint8Array.from({ length: 256 }, (_, v) => blend(constant, v, factor));
  return data.map((v) => table[v] as number);
}

function contrast(data: Uint8Array, factor: number): Uint8Array {
  let sum = 0;
  for (let i = 0; i < data.length; i += 3) sum += grey(data, i);
  return towardConstant(data, Math.trunc(sum / (data.length / 3) + 0.5), factor);
}

function saturation(data: Uint8Array, factor: number): Uint8Array {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const g = grey(data, i);
    for (let c = 0; c < 3; c++) out[i + c] = blend(g, data[i + c] as number, factor);
  }
  return out;
}

/** Through hue, saturation and value as bytes, as Pillow's mode HSV has them. */
function hue(data: Uint8Array, turns: number): Uint8Array {
  const shift = Math.trunc(turns * 255) & 255;
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    const r = data[i] as number;
    const g = data[i + 1] as number;
    const b = data[i + 2] as number;
    const most = Math.max(r, g, b);
    const least = Math.min(r, g, b);
    if (most === least) {
      // Grey has no hue.
      out.fill(most, i, i + 3);
      continue;
    }
    const range = Math.fround(most - least);
    const s = Math.fround(range / most);
    const rc = Math.fround((most - r) / range);
    const gc = Math.fround((most - g) / range);
    const bc = Math.fround((most - b) / range);
    let h =
      r === most ? Math.fround(bc - gc) : g === most ? Math.fround(2 + rc - bc) : Math.fround(4 + gc - rc);
    h = Math.fround((h / 6 + 1) % 1);
    const hueByte = (Math.min(255, Math.max(0, Math.trunc(h * 255))) + shift) & 255;
    const saturationByte = Math.min(255, Math.max(0, Math.trunc(s * 255)));
    fromHsv(out, i, hueByte, saturationByte, most);
  }
  return out;
}

function fromHsv(out: Uint8Array, at: number, h: number, s: number, v: number): void {
  const turn = Math.fround((h * 6) / 255);
  const sector = Math.floor(turn);
  const rest = Math.fround(turn - sector);
  const share = Math.fround(s / 255);
  // Halves away from zero; nothing here is negative.
  const byte = (value: number): number => Math.min(255, Math.max(0, Math.floor(value + 0.5)));
  const p = byte(v * (1 - share));
  const q = byte(v * (1 - share * rest));
  const t = byte(v * (1 - share * (1 - rest)));
  const colors = [
    [v, t, p],
    [q, v, p],
    [p, v, t],
    [p, q, v],
    [t, p, v],
    [v, p, q],
  ] as const;
  out.set(colors[sector % 6] as (typeof colors)[number], at);
}

/** The changes, one after the other. */
export function adjustColors(image: RawImage, changes: readonly ColorChange[]): RawImage {
  let { data } = image;
  for (const { kind, amount } of changes) {
    if (kind === "brightness") data = towardConstant(data, 0, amount);
    else if (kind === "contrast") data = contrast(data, amount);
    else if (kind === "saturation") data = saturation(data, amount);
    else data = hue(data, amount);
  }
  return { data, width: image.width, height: image.height };
}
