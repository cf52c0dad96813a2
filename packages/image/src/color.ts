/**
 * How channels that are not RGB become RGB, in Pillow's integer arithmetic. Checked: all values agree with Pillow's for the pictures in
 * fixtures/, and for every pair of bytes with Pillow's formulas in the test.
 */

/** `a * b / 255` rounded, for bytes: Pillow's MULDIV255. */
export const mulDiv255 = (a: number, b: number): number => {
  const t = a * b + 128;
  return ((t >> 8) + t) >> 8;
};

/** A colour of `alpha` on white, both as bytes: what `Image.alpha_composite` gives over an opaque white. */
export const onWhite = (value: number, alpha: number): number => {
  const coefficient = alpha << 7;
  const t = value * coefficient + 255 * (32640 - coefficient) + 16384;
  return (((t >> 8) + t) >> 8) >> 7;
};

/**
 * RGB of interleaved channels.
 * @param channels 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha
 * @param white alpha is laid on white; else it is dropped, and the colour under it stays
 */
export function toRgb(data: Uint8Array, channels: number, white: boolean): Uint8Array {
  if (channels === 3) return data;
  const pixels = data.length / channels;
  const rgb = new Uint8Array(pixels * 3);
  const alpha = channels === 2 || channels === 4 ? channels - 1 : -1;
  const second = channels > 2 ? 1 : 0;
  for (let i = 0, from = 0, to = 0; i < pixels; i++, from += channels, to += 3) {
    rgb[to] = data[from] as number;
    rgb[to + 1] = data[from + second] as number;
    rgb[to + 2] = data[from + 2 * second] as number;
    if (!white || alpha < 0) continue;
    const a = data[from + alpha] as number;
    if (a === 255) continue;
    rgb[to] = onWhite(rgb[to] as number, a);
    rgb[to + 1] = onWhite(rgb[to + 1] as number, a);
    rgb[to + 2] = onWhite(rgb[to + 2] as number, a);
  }
  return rgb;
}

/** RGB of interleaved cyan, magenta, yellow and key, where 255 is full ink; without a colour profile, as Pillow does it. */
export function cmykToRgb(data: Uint8Array): Uint8Array {
  const pixels = data.length / 4;
  const rgb = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const paper = 255 - (data[i * 4 + 3] as number);
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = paper - mulDiv255(data[i * 4 + c] as number, paper);
  }
  return rgb;
}
