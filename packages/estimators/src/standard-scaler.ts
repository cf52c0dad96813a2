import { expectFitted } from "./errors.js";
import { type DenseMatrix, type MatrixLike, toMatrix } from "./matrix.js";

/** Brings every feature to mean 0 and standard deviation 1. As `sklearn.preprocessing.StandardScaler`. */
export class StandardScaler {
  #fitted: { mean: Float64Array; scale: Float64Array } | null = null;

  /** [D] */
  get mean_(): Float64Array {
    return expectFitted("StandardScaler", this.#fitted).mean;
  }

  /** [D]: the standard deviation; 1 for a feature that is always the same */
  get scale_(): Float64Array {
    return expectFitted("StandardScaler", this.#fitted).scale;
  }

  /** Learns mean and deviation of each feature. */
  fit(x: MatrixLike): this {
    const { data, rows, columns } = toMatrix(x, "StandardScaler");
    const mean = new Float64Array(columns);
    const squares = new Float64Array(columns);
    for (let i = 0; i < data.length; i++) mean[i % columns]! += data[i]!;
    for (let j = 0; j < columns; j++) mean[j]! /= rows;
    for (let i = 0; i < data.length; i++) squares[i % columns]! += (data[i]! - mean[i % columns]!) ** 2;
    // What rounding alone makes of a constant is no deviation.
    const isConstant = (j: number) => squares[j]! / rows <= (10 * Number.EPSILON * mean[j]!) ** 2;
    const scale = squares.map((sum, j) => (isConstant(j) ? 1 : Math.sqrt(sum / rows)));
    this.#fitted = { mean, scale };
    return this;
  }

  /** @returns [N, D] */
  transform(x: MatrixLike): DenseMatrix {
    const { mean, scale } = expectFitted("StandardScaler", this.#fitted);
    const { data, rows, columns } = toMatrix(x, "StandardScaler", mean.length);
    return {
      data: data.map((value, i) => (value - mean[i % columns]!) / scale[i % columns]!),
      rows,
      columns,
    };
  }

  /** `fit` and `transform` of the same data. */
  fitTransform(x: MatrixLike): DenseMatrix {
    return this.fit(x).transform(x);
  }
}
