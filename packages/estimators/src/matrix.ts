import { EstimatorError } from "./errors.js";

/** Rows of numbers, one behind the other. */
export interface Matrix {
  /** [rows, columns] */
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
}

/** N examples of D features: a {@link Matrix}, or an array of rows. */
export type MatrixLike = Matrix | readonly ArrayLike<number>[];

/** A {@link Matrix} in f64: every estimator computes in it, so that loops meet one type of array. */
export interface DenseMatrix extends Matrix {
  readonly data: Float64Array;
}

/**
 * Copies data into f64, unless it is in it already.
 * @param where the estimator, for messages
 * @param columns that there must be
 * @throws EstimatorError `E_SHAPE`, or `E_NOT_FINITE` with the first place
 */
export function toMatrix(x: MatrixLike, where: string, columns?: number): DenseMatrix {
  const matrix = isMatrix(x) ? fromMatrix(x, where) : fromRows(x, where);
  if (matrix.rows === 0 || matrix.columns === 0) {
    throw new EstimatorError(
      "E_SHAPE",
      `${where}: x is [${matrix.rows}, ${matrix.columns}]. Give at least one row of one number.`,
    );
  }
  if (columns !== undefined && matrix.columns !== columns) {
    throw new EstimatorError(
      "E_SHAPE",
      `${where}: x has ${matrix.columns} features, but was fitted with ${columns}. Give the features it was fitted with.`,
    );
  }
  const bad = matrix.data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new EstimatorError(
      "E_NOT_FINITE",
      `${where}: x is ${matrix.data[bad]} in row ${Math.floor(bad / matrix.columns)}, column ${bad % matrix.columns}. Remove the row, or fill it in.`,
    );
  }
  return matrix;
}

function isMatrix(x: MatrixLike): x is Matrix {
  return !Array.isArray(x);
}

function fromMatrix({ data, rows, columns }: Matrix, where: string): DenseMatrix {
  if (data.length !== rows * columns) {
    throw new EstimatorError(
      "E_SHAPE",
      `${where}: x is said to be [${rows}, ${columns}], but has ${data.length} numbers.`,
    );
  }
  return { data: data instanceof Float64Array ? data : Float64Array.from(data), rows, columns };
}

function fromRows(x: readonly ArrayLike<number>[], where: string): DenseMatrix {
  const columns = x[0]?.length ?? 0;
  const data = new Float64Array(x.length * columns);
  x.forEach((row, i) => {
    if (row.length !== columns) {
      throw new EstimatorError(
        "E_SHAPE",
        `${where}: row ${i} of x has ${row.length} numbers, row 0 has ${columns}.`,
      );
    }
    data.set(row, i * columns);
  });
  return { data, rows: x.length, columns };
}

/** Some rows of a matrix, copied. */
export function takeRows({ data, columns }: DenseMatrix, rows: ArrayLike<number>): DenseMatrix {
  const out = new Float64Array(rows.length * columns);
  for (let i = 0; i < rows.length; i++) {
    out.set(data.subarray(rows[i]! * columns, (rows[i]! + 1) * columns), i * columns);
  }
  return { data: out, rows: rows.length, columns };
}

/**
 * Products of one vector with every row of a matrix.
 * @param v [D], from `begin` on
 * @param out [N], written
 */
export function multiplyRows(matrix: DenseMatrix, v: Float64Array, begin: number, out: Float64Array): void {
  const { data, rows, columns } = matrix;
  let i = 0;
  // Four rows at a time: each value of v is loaded once for four products, and the four sums do not wait for each other.
  for (; i + 4 <= rows; i += 4) {
    const a = i * columns;
    const b = a + columns;
    const c = b + columns;
    const d = c + columns;
    let sa = 0;
    let sb = 0;
    let sc = 0;
    let sd = 0;
    for (let j = 0; j < columns; j++) {
      const value = v[begin + j]!;
      sa += data[a + j]! * value;
      sb += data[b + j]! * value;
      sc += data[c + j]! * value;
      sd += data[d + j]! * value;
    }
    out[i] = sa;
    out[i + 1] = sb;
    out[i + 2] = sc;
    out[i + 3] = sd;
  }
  for (; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += data[i * columns + j]! * v[begin + j]!;
    out[i] = sum;
  }
}

/**
 * Adds the rows of a matrix, each times its weight: out += weightsᵀ · matrix. Rows of weight 0 are passed over.
 * @param weights [N]
 * @param out [D], from `begin` on
 */
export function addRows(matrix: DenseMatrix, weights: Float64Array, out: Float64Array, begin = 0): void {
  const { data, rows, columns } = matrix;
  for (let i = 0; i < rows; i++) {
    const weight = weights[i]!;
    if (weight === 0) continue;
    const at = i * columns;
    for (let j = 0; j < columns; j++) out[begin + j]! += weight * data[at + j]!;
  }
}

/** Sum of the products of two vectors. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** The largest absolute value. */
export function maxAbs(values: Float64Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}
