/**
 * An adapter that cannot be made, read or used. The message names what was found and the way out. Codes: `E_CONFIG_UNKNOWN`,
 * `E_CONFIG_VALUE`, `E_CONFIG_UNSUPPORTED` (settings), `E_TARGET` (modules that are not there or cannot be adapted),
 * `E_ADAPTER` (names and combinations of adapters), `E_ADAPTER_KEYS`, `E_ADAPTER_SHAPE` (weights that do not fit), `E_MERGED`
 * (a model whose adapters were taken off).
 */
export class PeftError extends Error {
  /** Stable, for programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PeftError";
    this.code = code;
  }
}
