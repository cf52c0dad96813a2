import { type DenseMatrix, multiplyRows } from "../matrix.js";

/** Names of the kernels. */
export type KernelName = "linear" | "poly" | "rbf" | "sigmoid";

/** A kernel with its parameters. */
export interface Kernel {
  readonly name: KernelName;
  readonly gamma: number;
  readonly degree: number;
  readonly coef0: number;
}

/** Values of a kernel between any vector and the rows of a matrix. */
export class KernelRows {
  readonly matrix: DenseMatrix;
  readonly #kernel: Kernel;
  /** [N]: x · x of each row */
  readonly #norms: Float64Array;

  constructor(matrix: DenseMatrix, kernel: Kernel) {
    this.matrix = matrix;
    this.#kernel = kernel;
    const { data, rows, columns } = matrix;
    this.#norms = Float64Array.from({ length: rows }, (_, i) => squaredNorm(data, i * columns, columns));
  }

  /** k(x, x) of each row. */
  diagonal(): Float64Array {
    const out = this.#norms.slice();
    for (let i = 0; i < out.length; i++) out[i] = this.#norms[i]!;
    this.#apply(out, null);
    return out;
  }

  /**
   * k(v, row) of every row.
   * @param v [D], from `begin` on
   * @param out [N], written
   */
  of(v: Float64Array, begin: number, out: Float64Array): void {
    multiplyRows(this.matrix, v, begin, out);
    this.#apply(out, squaredNorm(v, begin, this.matrix.columns));
  }

  /** From products to values of the kernel, in place. @param norm v · v; null where each product is of a row with itself */
  #apply(products: Float64Array, norm: number | null): void {
    const { name, gamma, degree, coef0 } = this.#kernel;
    const norms = this.#norms;
    if (name === "rbf") {
      for (let i = 0; i < products.length; i++) {
        const own = norm ?? norms[i]!;
        products[i] = Math.exp(-gamma * Math.max(0, own + norms[i]! - 2 * products[i]!));
      }
    } else if (name === "poly") {
      for (let i = 0; i < products.length; i++) products[i] = (gamma * products[i]! + coef0) ** degree;
    } else if (name === "sigmoid") {
      for (let i = 0; i < products.length; i++) products[i] = Math.tanh(gamma * products[i]! + coef0);
    }
  }
}

function squaredNorm(v: Float64Array, begin: number, columns: number): number {
  let sum = 0;
  for (let j = begin; j < begin + columns; j++) sum += v[j]! * v[j]!;
  return sum;
}

/** Rows of the kernel matrix of the examples, kept in f32; those not used for longest make room. */
export class KernelCache {
  readonly #rows: KernelRows;
  readonly #capacity: number;
  /** The row used last stands last. */
  readonly #kept = new Map<number, Float32Array>();
  readonly #scratch: Float64Array;

  /** @param megabytes of the rows kept; two rows are kept whatever that is */
  constructor(rows: KernelRows, megabytes: number) {
    this.#rows = rows;
    this.#scratch = new Float64Array(rows.matrix.rows);
    this.#capacity = Math.max(2, Math.floor((megabytes * 2 ** 20) / (4 * rows.matrix.rows)));
  }

  /** k(example i, every example). Good until two further rows were asked for. */
  row(i: number): Float32Array {
    let row = this.#kept.get(i);
    if (row) {
      this.#kept.delete(i);
    } else {
      row = this.#room();
      const { data, columns } = this.#rows.matrix;
      this.#rows.of(data, i * columns, this.#scratch);
      row.set(this.#scratch);
    }
    this.#kept.set(i, row);
    return row;
  }

  #room(): Float32Array {
    if (this.#kept.size < this.#capacity) return new Float32Array(this.#scratch.length);
    const [oldest, row] = this.#kept.entries().next().value!;
    this.#kept.delete(oldest);
    return row;
  }
}
