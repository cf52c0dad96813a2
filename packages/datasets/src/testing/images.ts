import { crc32, deflateSync } from "node:zlib";

/** An RGB PNG of noise that depends on its size and `seed`. */
export function rgbPng(width: number, height: number, seed = 0): Uint8Array {
  return png(width, height, 2, 3, seed);
}

/** A greyscale PNG. */
export function greyPng(width: number, height: number, seed = 0): Uint8Array {
  return png(width, height, 0, 1, seed);
}

function png(width: number, height: number, color: number, channels: number, seed: number): Uint8Array {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, color], 8);
  const rows = Buffer.alloc((1 + width * channels) * height);
  let state = (seed + 1) * 2654435761 + width * 31 + height;
  for (let i = 0; i < rows.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // Each row begins with its filter: none.
    if (i % (1 + width * channels) !== 0) rows[i] = state >>> 24;
  }
  const parts = [chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return new Uint8Array(Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts]));
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  whole.set(body, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
