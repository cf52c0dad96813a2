/**
 * Data or options that an estimator cannot work with. The message names what was found and the way out. Codes: `E_SHAPE` (sizes that
 * do not fit), `E_NOT_FINITE` (NaN or infinity in the data), `E_LABEL` (classes that are no whole numbers), `E_ONE_CLASS` (nothing to
 * tell apart), `E_OPTION` (a setting out of range), `E_NOT_FITTED`.
 */
export class EstimatorError extends Error {
  /** Stable, for programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "EstimatorError";
    this.code = code;
  }
}

/** @throws EstimatorError `E_OPTION` unless `value` is over 0 */
export function expectPositive(estimator: string, option: string, value: number): void {
  if (!(value > 0))
    throw new EstimatorError("E_OPTION", `${estimator}: ${option} is ${value}, expected a number over 0.`);
}

/** @throws EstimatorError `E_NOT_FITTED` */
export function expectFitted<T>(estimator: string, fitted: T | null): T {
  if (fitted === null)
    throw new EstimatorError("E_NOT_FITTED", `${estimator} knows no data yet: call fit(x, y) first.`);
  return fitted;
}

/** What says that an estimator stopped before it was done. */
export interface WarningOptions {
  /** Told when the last iteration came before convergence. Default `console.warn`. */
  onWarning?: (message: string) => void;
}
