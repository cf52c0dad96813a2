/**
 * A picture that cannot be read, or a transform that cannot be applied. The message names the file where it is known, what was found
 * and the way out. Codes: `E_IMAGE_EMPTY` (no bytes), `E_IMAGE_FORMAT` (no picture, or a format that is not read), `E_IMAGE_TRUNCATED`
 * (the bytes end too early), `E_IMAGE_DECODE` (damaged), `E_IMAGE_FILE` (the file cannot be read), `E_IMAGE_ENCODE`, `E_IMAGE_SHAPE` (sizes
 * that do not fit), `E_IMAGE_TRANSFORM` (a transform or a normalisation that makes no sense), `E_IMAGE_ENVIRONMENT` (the browser's decoder
 * asked for outside of a browser).
 */
export class ImageError extends Error {
  /** Stable, for programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ImageError";
    this.code = code;
  }
}
