import sharp from "sharp";
import { ImageError } from "../errors.js";
import { expectImage, type RawImage } from "../raw-image.js";

/**
 * The picture as a PNG file.
 * @throws ImageError `E_IMAGE_SHAPE`, `E_IMAGE_ENCODE`
 */
export async function encodePng(image: RawImage): Promise<Uint8Array> {
  expectImage("encodePng", image);
  const { data, width, height } = image;
  try {
    return new Uint8Array(
      await sharp(data, { raw: { width, height, channels: 3 } })
        .png()
        .toBuffer(),
    );
  } catch (cause) {
    throw new ImageError(
      "E_IMAGE_ENCODE",
      `encodePng: ${width}x${height} pixels: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}
