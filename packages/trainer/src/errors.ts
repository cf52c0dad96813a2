/** An argument or state of the trainer that cannot be used: `E_ARG_UNKNOWN`, `E_ARG_VALUE`, `E_CHECKPOINT`, `E_DATA`. */
export class TrainerError extends Error {
  /** Stable, for programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "TrainerError";
    this.code = code;
  }
}
