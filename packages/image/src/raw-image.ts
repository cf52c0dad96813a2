import { ImageError } from "./errors.js";

/** A decoded picture: RGB, 8 bits a channel, row after row. */
export interface RawImage {
  /** `[height, width, 3]` interleaved, values 0 to 255. */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** @throws ImageError `E_IMAGE_SHAPE` unless there is at least one pixel and `data` holds `height * width * 3` bytes */
export function expectImage(where: string, image: RawImage): void {
  const { data, width, height } = image;
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw new ImageError(
      "E_IMAGE_SHAPE",
      `${where}: a picture of ${width}x${height} pixels (width x height), expected whole numbers over 0.`,
    );
  if (data.length !== width * height * 3)
    throw new ImageError(
      "E_IMAGE_SHAPE",
      `${where}: data holds ${data.length} bytes, a picture of ${width}x${height} has ${width * height * 3} (RGB: 3 for each pixel). Pictures with alpha or one channel: decodeImage makes RGB of them.`,
    );
}
