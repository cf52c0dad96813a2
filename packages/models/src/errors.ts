/**
 * Errors of this package. Each has a stable `code`; the message names the file or the argument, what was found and the way
 * out, so that a program can print it as it is.
 */

/** Base class of every error that this package throws on purpose. */
export class ModelsError extends Error {
  /** Stable, for programs, for example `E_FILE_FULL`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/**
 * A tokenizer that cannot be built, or arguments that it cannot follow: `E_TOKENIZER_FILE`, `E_TOKENIZER_UNSUPPORTED`,
 * `E_TOKENIZER_INPUT`, `E_TOKENIZER_TRUNCATION`, `E_TOKENIZER_PADDING`, `E_TOKENIZER_OFFSETS`, `E_TOKENIZER_SAVE`.
 */
export class TokenizerError extends ModelsError {}

/**
 * An image processor that cannot be built, or pictures that it cannot follow: `E_IMAGE_PROCESSOR_CONFIG`, `E_IMAGE_PROCESSOR_INPUT`,
 * `E_IMAGE_PROCESSOR_SAVE`.
 */
export class ImageProcessorError extends ModelsError {}

/**
 * A name that leads nowhere: `E_MODEL_NOT_FOUND`, `E_DATASET_NOT_FOUND` (no such folder, nothing of that name on the hub),
 * `E_MODEL_FOLDER` (a folder without the files of a model), `E_HUB_OFFLINE` (not in the cache and the network is not to be used),
 * `E_HUB_REVISION` (a revision that cannot be one). Or the hub: `E_HUB_UNREACHABLE`, `E_HUB_ACCESS` (401, 403), `E_HUB_RATE_LIMIT` (429),
 * `E_HUB_DOWNLOAD`, `E_HUB_CHECKSUM`, `E_HUB_ANSWER` (what it says cannot be), `E_HUB_ENDPOINT`, `E_HUB_TOKEN`. No message and no
 * `cause` holds the access token.
 */
export class HubError extends ModelsError {}

/**
 * Reading or writing a file failed: `E_FILE_MISSING`, `E_FILE_READ`, `E_FILE_TRUNCATED`, `E_FILE_JSON`, `E_FILE_WRITE`,
 * `E_FILE_FULL`.
 */
export class FileError extends ModelsError {
  /** The file that was to be read or written. */
  readonly path: string;

  constructor(code: string, path: string, message: string, options?: ErrorOptions) {
    super(code, `${path}: ${message}`, options);
    this.path = path;
  }
}

/** A `config.json` that says nothing this package can build (`E_CONFIG`). */
export class ConfigError extends ModelsError {
  constructor(message: string, options?: ErrorOptions) {
    super("E_CONFIG", message, options);
  }
}

/** Weights that a model lacks or that have another shape (`E_WEIGHTS_MISSING`, `E_WEIGHTS_SHAPE`). */
export class WeightsError extends ModelsError {}
