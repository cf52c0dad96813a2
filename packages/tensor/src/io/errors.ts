import { WgradError } from "../errors.js";

/**
 * What is wrong with a safetensors file, its index, or tensors that were to be written into one.
 *
 * | code | found |
 * |---|---|
 * | `E_SAFETENSORS_TRUNCATED` | fewer bytes than the header promises |
 * | `E_SAFETENSORS_HEADER` | a header that is no safetensors header: length, JSON, a field of a wrong kind, a name twice |
 * | `E_SAFETENSORS_DTYPE` | an element type that the format or the conversion asked for does not know |
 * | `E_SAFETENSORS_OFFSETS` | byte ranges that overlap, leave holes or do not end with the file |
 * | `E_SAFETENSORS_LENGTH` | a byte range that is not shape × dtype |
 * | `E_SAFETENSORS_NAME` | a tensor that is not in the file |
 * | `E_SAFETENSORS_RANGE` | an integer that the narrower type cannot hold |
 * | `E_SAFETENSORS_INDEX` | an index of shards that cannot be used |
 */
export type SafetensorsErrorCode =
  | "E_SAFETENSORS_TRUNCATED"
  | "E_SAFETENSORS_HEADER"
  | "E_SAFETENSORS_DTYPE"
  | "E_SAFETENSORS_OFFSETS"
  | "E_SAFETENSORS_LENGTH"
  | "E_SAFETENSORS_NAME"
  | "E_SAFETENSORS_RANGE"
  | "E_SAFETENSORS_INDEX";

/** A safetensors file that cannot be read, or tensors that cannot be written. The message names file, tensor and way out. */
export class SafetensorsError extends WgradError {
  declare readonly code: SafetensorsErrorCode;
  /** The file as the caller named it, if it did. */
  readonly file: string | undefined;
  /** The tensor concerned, if there is one. */
  readonly tensor: string | undefined;

  constructor(
    code: SafetensorsErrorCode,
    message: string,
    where: { file?: string | undefined; tensor?: string | undefined } = {},
    options?: ErrorOptions,
  ) {
    const file = where.file === undefined ? "safetensors" : where.file;
    super(
      code,
      `${file}: ${where.tensor === undefined ? "" : `tensor "${where.tensor}": `}${message}`,
      options,
    );
    this.file = where.file;
    this.tensor = where.tensor;
  }
}
