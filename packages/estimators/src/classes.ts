import { EstimatorError } from "./errors.js";

/** Weights of the classes: `"balanced"` for the inverse of how often each occurs, or by class (1 where none is given). */
export type ClassWeight = "balanced" | Readonly<Record<number, number>> | null;

/** The classes of a fit. */
export interface Classes {
  /** Sorted. */
  readonly classes: Int32Array;
  /** [N]: place of each example's class in `classes` */
  readonly index: Int32Array;
  /** Examples of each class. */
  readonly counts: Int32Array;
}

/**
 * Finds the classes of the examples.
 * @throws EstimatorError `E_SHAPE`, `E_LABEL`, or `E_ONE_CLASS`
 */
export function findClasses(y: ArrayLike<number>, rows: number, where: string): Classes {
  if (y.length !== rows) {
    throw new EstimatorError("E_SHAPE", `${where}: x has ${rows} rows, y has ${y.length} classes.`);
  }
  const values = Array.from(y);
  const bad = values.findIndex((value) => !Number.isInteger(value));
  if (bad >= 0) {
    throw new EstimatorError(
      "E_LABEL",
      `${where}: y is ${values[bad]} at ${bad}. Classes are whole numbers.`,
    );
  }
  const classes = Int32Array.from(new Set(values)).sort();
  if (classes.length < 2) {
    throw new EstimatorError(
      "E_ONE_CLASS",
      `${where}: every example is of class ${classes[0]}. Give examples of at least two classes.`,
    );
  }
  const place = new Map([...classes].map((value, i) => [value, i]));
  const index = Int32Array.from(values, (value) => place.get(value)!);
  const counts = new Int32Array(classes.length);
  for (const i of index) counts[i]!++;
  return { classes, index, counts };
}

/** Weight of each class, in their order. @throws EstimatorError `E_OPTION` for a weight that is not over 0 */
export function weightsOf(
  { classes, counts, index }: Classes,
  weight: ClassWeight,
  where: string,
): Float64Array {
  if (weight === null) return new Float64Array(classes.length).fill(1);
  if (weight === "balanced") {
    return Float64Array.from(counts, (count) => index.length / (classes.length * count));
  }
  return Float64Array.from(classes, (value) => {
    const given = weight[value] ?? 1;
    if (!(given > 0)) {
      throw new EstimatorError(
        "E_OPTION",
        `${where}: classWeight of ${value} is ${given}, expected a number over 0.`,
      );
    }
    return given;
  });
}

/** Share of predictions that are right. */
export function accuracy(y: ArrayLike<number>, predictions: ArrayLike<number>, where: string): number {
  if (y.length !== predictions.length) {
    throw new EstimatorError(
      "E_SHAPE",
      `${where}: x has ${predictions.length} rows, y has ${y.length} classes.`,
    );
  }
  let right = 0;
  for (let i = 0; i < y.length; i++) if (y[i] === predictions[i]) right++;
  return right / y.length;
}
