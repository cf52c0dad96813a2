import { readFileSync } from "node:fs";
import { DatasetError, reason } from "../errors.js";

/** A picture as a file holds it: what a row has in a column of pictures. */
export interface EncodedImage {
  /** The bytes of the file (JPEG, PNG, …); null where they are still in the file at `path`. */
  readonly bytes: Uint8Array | null;
  /** Where the file is or was; with `bytes` only a name. */
  readonly path: string | null;
}

/** True for `{ bytes, path }` with at least one of the two. */
export function isEncodedImage(value: unknown): value is EncodedImage {
  if (typeof value !== "object" || value === null) return false;
  const { bytes, path } = value as Partial<EncodedImage>;
  return bytes instanceof Uint8Array || typeof path === "string";
}

/** The bytes of a picture, read from its file where the row does not hold them. @throws DatasetError E_FILE_READ, E_IMAGE */
export function imageBytes(image: EncodedImage): Uint8Array {
  if (image.bytes !== null && image.bytes !== undefined) return image.bytes;
  if (typeof image.path !== "string") {
    throw new DatasetError({
      code: "E_IMAGE",
      where: "imageBytes",
      message: "the picture has neither bytes nor a path.",
      fix: "Give { bytes, path } with one of them set, as rows of an Image column have it.",
    });
  }
  try {
    return readFileSync(image.path);
  } catch (cause) {
    throw new DatasetError({
      code: "E_FILE_READ",
      where: image.path,
      message: `the picture cannot be read: ${reason(cause)}.`,
      fix: "Check that the file is still there; Parquet written by Python without embedded files holds paths of the other machine.",
      cause,
    });
  }
}
