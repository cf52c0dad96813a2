/** Decoding by the browser itself. Node's decoder, with the same options, is in `@wgrad/image/node`. */
import { ImageError } from "./errors.js";
import type { RawImage } from "./raw-image.js";

/** How files become RGB. */
export interface DecodeOptions {
  /** Turn the picture as its EXIF orientation says. Default true, as `datasets` and transformers' `load_image` do. */
  orientation?: boolean;
  /**
   * Transparent pictures: `"white"` lays them on white (transformers 5), `"drop"` keeps the colours and drops alpha (`convert("RGB")`,
   * transformers 4). Default `"white"`.
   */
  transparency?: "drop" | "white";
}

/**
 * Decodes a picture with `createImageBitmap` and an `OffscreenCanvas`: whatever the browser reads, of an animation the first frame.
 * Colour profiles are ignored where the browser allows it. With `transparency: "drop"` colours under partial alpha are off by the
 * rounding of premultiplied alpha, and black where alpha is 0: a canvas holds no others. 16-bit grey keeps its high byte, where Pillow
 * and `@wgrad/image/node` cut at 255. Chromium gives the bytes of Node's decoder for all else in `fixtures/files`.
 * @param bytes a whole file
 * @returns RGB `[height, width, 3]`
 * @throws ImageError `E_IMAGE_EMPTY`, `E_IMAGE_DECODE`, or `E_IMAGE_ENVIRONMENT` outside of a browser
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<RawImage> {
  const { orientation = true, transparency = "white" } = options;
  if (bytes.length === 0) throw new ImageError("E_IMAGE_EMPTY", "decodeImage: no bytes (the file is empty).");
  if (typeof createImageBitmap !== "function" || typeof OffscreenCanvas !== "function")
    throw new ImageError(
      "E_IMAGE_ENVIRONMENT",
      'decodeImage: this is no browser (createImageBitmap or OffscreenCanvas is missing). In Node: import { decodeImage } from "@wgrad/image/node".',
    );
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(
      new Blob([(orientation ? bytes : withoutExif(bytes)) as Uint8Array<ArrayBuffer>]),
      {
        imageOrientation: "from-image",
        premultiplyAlpha: "none",
        colorSpaceConversion: "none",
      },
    );
  } catch (cause) {
    throw new ImageError(
      "E_IMAGE_DECODE",
      `decodeImage: the browser cannot read these ${bytes.length} bytes as a picture: truncated, damaged, or a format it does not know.`,
      { cause },
    );
  }
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    if (!context)
      throw new ImageError("E_IMAGE_ENVIRONMENT", "decodeImage: OffscreenCanvas has no 2d context here.");
    if (transparency === "white") {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, width, height);
    }
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, width, height).data;
    const data = new Uint8Array(width * height * 3);
    for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
      data[to] = rgba[from] as number;
      data[to + 1] = rgba[from + 1] as number;
      data[to + 2] = rgba[from + 2] as number;
    }
    return { data, width, height };
  } finally {
    bitmap.close();
  }
}

/** The file with its EXIF part made unreadable: browsers no longer let a caller say that it is to be ignored. */
function withoutExif(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return bytes;
  const out = bytes.slice();
  for (let at = 2; at + 10 < out.length && out[at] === 0xff && out[at + 1] !== 0xda; ) {
    const isExif = out[at + 1] === 0xe1 && out[at + 4] === 0x45 && out[at + 5] === 0x78;
    // "Exif" becomes "xxif".
    if (isExif) out[at + 4] = 0x78;
    at += 2 + ((out[at + 2] as number) << 8) + (out[at + 3] as number);
  }
  return out;
}
