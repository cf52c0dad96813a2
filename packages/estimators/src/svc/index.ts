import { accuracy, type ClassWeight, findClasses, weightsOf } from "../classes.js";
import { EstimatorError, expectFitted, expectPositive, type WarningOptions } from "../errors.js";
import { addRows, type DenseMatrix, type MatrixLike, multiplyRows, takeRows, toMatrix } from "../matrix.js";
import { type Kernel, KernelCache, type KernelName, KernelRows } from "./kernel.js";
import { solveSmo } from "./smo.js";

/** Options of {@link SVC}: scikit-learn's. */
export interface SVCOptions extends WarningOptions {
  /** Cost of an error against the width of the margin. Default 1. */
  C?: number;
  /** Default `"rbf"`. */
  kernel?: KernelName;
  /** Factor in rbf, poly and sigmoid. Default `"scale"`: 1 / (D · variance of x); `"auto"`: 1 / D. */
  gamma?: number | "scale" | "auto";
  /** Of poly. Default 3. */
  degree?: number;
  /** Term of poly and sigmoid. Default 0. */
  coef0?: number;
  /** Default 1e-3. */
  tol?: number;
  /** MB for rows of the kernel matrix, 4·N bytes each. Default 200. */
  cacheSize?: number;
  /** Default null: 1 each. */
  classWeight?: ClassWeight;
  /** Default −1: no limit. */
  maxIter?: number;
  /** What `decisionFunction` gives for more than two classes: a value a class (default), or one a pair of classes. */
  decisionFunctionShape?: "ovr" | "ovo";
}

interface Fitted {
  classes: Int32Array;
  /** Rows of the data that are support vectors, by class. */
  support: Int32Array;
  vectors: DenseMatrix;
  counts: Int32Array;
  /** [K − 1, vectors], LIBSVM's order and signs: a vector of class i has its weight against class j in row j, or j − 1 for j > i */
  dual: DenseMatrix;
  /** [pairs]: over 0 is the first of the two */
  intercepts: Float64Array;
  iterations: Int32Array;
  kernel: Kernel;
  rows: KernelRows;
}

/**
 * A support vector machine with a kernel, one class against one for more than two. As `sklearn.svm.SVC` without probabilities.
 * Letters: N examples, D features, K classes, S support vectors.
 */
export class SVC {
  readonly #options: Required<SVCOptions>;
  #fit: Fitted | null = null;

  /** @throws EstimatorError `E_OPTION` */
  constructor(options: SVCOptions = {}) {
    this.#options = {
      C: 1,
      kernel: "rbf",
      gamma: "scale",
      degree: 3,
      coef0: 0,
      tol: 1e-3,
      cacheSize: 200,
      classWeight: null,
      maxIter: -1,
      decisionFunctionShape: "ovr",
      onWarning: console.warn,
      ...options,
    };
    for (const name of ["C", "tol", "cacheSize"] as const) expectPositive("SVC", name, this.#options[name]);
    const { gamma, kernel } = this.#options;
    if (!["linear", "poly", "rbf", "sigmoid"].includes(kernel)) {
      throw new EstimatorError(
        "E_OPTION",
        `SVC: there is no kernel "${kernel}". Use linear, poly, rbf or sigmoid.`,
      );
    }
    if (gamma !== "scale" && gamma !== "auto") expectPositive("SVC", "gamma", gamma);
  }

  /** Learns from N examples and their classes. */
  fit(x: MatrixLike, y: ArrayLike<number>): this {
    const { C, classWeight, onWarning, maxIter } = this.#options;
    const matrix = toMatrix(x, "SVC");
    const found = findClasses(y, matrix.rows, "SVC");
    const byClass = weightsOf(found, classWeight, "SVC");
    const kernel = this.#kernelFor(matrix);
    const count = found.classes.length;
    const byIndex = Array.from({ length: count }, (_, k) => rowsOf(found.index, k));
    const pairs = pairsOf(count).map(([a, b]) => {
      const rows = joined([byIndex[a]!, byIndex[b]!]);
      // All rows in their own order need no copy.
      const part = count === 2 ? matrix : takeRows(matrix, rows);
      const order = count === 2 ? Int32Array.from({ length: matrix.rows }, (_, i) => i) : rows;
      const side = Int8Array.from(order, (i) => (found.index[i] === a ? 1 : -1));
      return { a, b, order, side, ...this.#solve(part, side, kernel, [C * byClass[a]!, C * byClass[b]!]) };
    });
    if (pairs.some(({ converged }) => !converged)) {
      onWarning(
        `ConvergenceWarning: SVC was stopped after ${maxIter} iterations (maxIter) before it converged. Increase maxIter, or scale the data (StandardScaler).`,
      );
    }
    const used = new Uint8Array(matrix.rows);
    for (const { order, alpha } of pairs) {
      alpha.forEach((value, s) => {
        if (value > 0) used[order[s]!] = 1;
      });
    }
    const supports = byIndex.map((rows) => rows.filter((i) => used[i] === 1));
    const support = joined(supports);
    const place = new Map([...support].map((row, s) => [row, s]));
    const dual = new Float64Array((count - 1) * support.length);
    for (const { a, b, order, side, alpha } of pairs) {
      alpha.forEach((value, s) => {
        if (value === 0) return;
        const column = place.get(order[s]!)!;
        dual[(side[s]! > 0 ? b - 1 : a) * support.length + column] = value * side[s]!;
      });
    }
    const vectors = takeRows(matrix, support);
    this.#fit = {
      classes: found.classes,
      support,
      vectors,
      counts: Int32Array.from(supports, (rows) => rows.length),
      dual: { data: dual, rows: count - 1, columns: support.length },
      intercepts: Float64Array.from(pairs, ({ rho }) => -rho),
      iterations: Int32Array.from(pairs, ({ iterations }) => iterations),
      kernel,
      rows: new KernelRows(vectors, kernel),
    };
    return this;
  }

  #kernelFor({ data, columns }: DenseMatrix): Kernel {
    const { kernel: name, gamma, degree, coef0 } = this.#options;
    if (typeof gamma === "number") return { name, gamma, degree, coef0 };
    let variance = 1;
    if (gamma === "scale") {
      const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
      variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length || 1;
    }
    return { name, gamma: 1 / (columns * variance), degree, coef0 };
  }

  #solve(matrix: DenseMatrix, y: Int8Array, kernel: Kernel, [first, second]: readonly [number, number]) {
    const { cacheSize, tol, maxIter } = this.#options;
    const rows = new KernelRows(matrix, kernel);
    return solveSmo({
      kernel: new KernelCache(rows, cacheSize),
      diagonal: rows.diagonal(),
      y,
      costs: Float64Array.from(y, (side) => (side > 0 ? first : second)),
      tol,
      maxIter,
    });
  }

  get #fitted(): Fitted {
    return expectFitted("SVC", this.#fit);
  }

  /** scikit-learn turns the signs of two classes round, so that over 0 is the second. */
  get #sign(): number {
    return this.#fitted.classes.length === 2 ? -1 : 1;
  }

  /** The classes, sorted. */
  get classes_(): Int32Array {
    return this.#fitted.classes;
  }

  /** [S]: rows of the data that are support vectors, by class. */
  get support_(): Int32Array {
    return this.#fitted.support;
  }

  /** [S, D] */
  get supportVectors_(): DenseMatrix {
    return this.#fitted.vectors;
  }

  /** [K]: support vectors of each class. */
  get nSupport_(): Int32Array {
    return this.#fitted.counts;
  }

  /** [K − 1, S] */
  get dualCoef_(): DenseMatrix {
    const { data, rows, columns } = this.#fitted.dual;
    return { data: data.map((value) => value * this.#sign), rows, columns };
  }

  /** [pairs of classes] */
  get intercept_(): Float64Array {
    return this.#fitted.intercepts.map((value) => value * this.#sign);
  }

  /** Iterations of each pair of classes. */
  get nIter_(): Int32Array {
    return this.#fitted.iterations;
  }

  /** The factor that the kernel has. */
  get gamma_(): number {
    return this.#fitted.kernel.gamma;
  }

  /** [pairs, D]: the vector of each pair of classes. @throws EstimatorError `E_OPTION` for a kernel that is not linear */
  get coef_(): DenseMatrix {
    const coef = this.#linearCoef();
    return { ...coef, data: coef.data.map((value) => value * this.#sign) };
  }

  #linearCoef(): DenseMatrix {
    const { kernel, vectors, classes } = this.#fitted;
    if (kernel.name !== "linear") {
      throw new EstimatorError("E_OPTION", `SVC: coef_ is of the kernel linear, this one is ${kernel.name}.`);
    }
    const pairs = pairsOf(classes.length);
    const data = new Float64Array(pairs.length * vectors.columns);
    pairs.forEach(([a, b], p) => {
      addRows(vectors, this.#weightsOfPair(a, b), data, p * vectors.columns);
    });
    return { data, rows: pairs.length, columns: vectors.columns };
  }

  /** [S]: weight of each support vector in deciding between two classes. */
  #weightsOfPair(a: number, b: number): Float64Array {
    const { counts, dual } = this.#fitted;
    const out = new Float64Array(dual.columns);
    const begin = (k: number) => counts.subarray(0, k).reduce((sum, n) => sum + n, 0);
    const copy = (k: number, row: number) => {
      const [from, to] = [begin(k), begin(k + 1)];
      out.set(dual.data.subarray(row * dual.columns + from, row * dual.columns + to), from);
    };
    copy(a, b - 1);
    copy(b, a);
    return out;
  }

  /** Decisions of every pair of classes, over 0 for the first. @returns [N, pairs] */
  #pairDecisions(x: MatrixLike): Float64Array {
    const { vectors, rows, intercepts, classes, kernel } = this.#fitted;
    const matrix = toMatrix(x, "SVC", vectors.columns);
    const pairs = pairsOf(classes.length);
    const out = new Float64Array(matrix.rows * pairs.length);
    if (kernel.name === "linear") {
      // One vector in place of all support vectors.
      const coef = this.#linearCoef();
      const scores = new Float64Array(matrix.rows);
      for (let p = 0; p < pairs.length; p++) {
        multiplyRows(matrix, coef.data, p * coef.columns, scores);
        for (let i = 0; i < matrix.rows; i++) out[i * pairs.length + p] = scores[i]! + intercepts[p]!;
      }
      return out;
    }
    const weights = pairs.map(([a, b]) => this.#weightsOfPair(a, b));
    const values = new Float64Array(vectors.rows);
    for (let i = 0; i < matrix.rows; i++) {
      rows.of(matrix.data, i * matrix.columns, values);
      weights.forEach((weight, p) => {
        let sum = intercepts[p]!;
        for (let s = 0; s < values.length; s++) sum += weight[s]! * values[s]!;
        out[i * pairs.length + p] = sum;
      });
    }
    return out;
  }

  /**
   * How far each example is on the side of each class.
   * @returns [N] for two classes (over 0: the second), else [N, K], or [N, pairs] with `decisionFunctionShape: "ovo"`
   */
  decisionFunction(x: MatrixLike): Float64Array {
    const decisions = this.#pairDecisions(x);
    const count = this.classes_.length;
    if (count === 2) return decisions.map((value) => -value);
    if (this.#options.decisionFunctionShape === "ovo") return decisions;
    const pairs = pairsOf(count);
    const out = new Float64Array((decisions.length / pairs.length) * count);
    for (let i = 0; i * count < out.length; i++) {
      const sums = new Float64Array(count);
      pairs.forEach(([a, b], p) => {
        const value = decisions[i * pairs.length + p]!;
        sums[a]! += value;
        sums[b]! -= value;
        out[i * count + (value < 0 ? b : a)]!++;
      });
      // Votes first; what the decisions add stays under a third.
      sums.forEach((sum, k) => {
        out[i * count + k]! += sum / (3 * (Math.abs(sum) + 1));
      });
    }
    return out;
  }

  /** The class of each example: the one that wins most of its pairs. @returns [N] */
  predict(x: MatrixLike): Int32Array {
    const decisions = this.#pairDecisions(x);
    const classes = this.classes_;
    const pairs = pairsOf(classes.length);
    const out = new Int32Array(decisions.length / pairs.length);
    const votes = new Int32Array(classes.length);
    for (let i = 0; i < out.length; i++) {
      votes.fill(0);
      pairs.forEach(([a, b], p) => {
        votes[decisions[i * pairs.length + p]! > 0 ? a : b]!++;
      });
      out[i] = classes[votes.indexOf(Math.max(...votes))]!;
    }
    return out;
  }

  /** Share of the examples that are given their class. */
  score(x: MatrixLike, y: ArrayLike<number>): number {
    return accuracy(y, this.predict(x), "SVC");
  }
}

function rowsOf(index: Int32Array, k: number): Int32Array {
  return Int32Array.from(index.keys()).filter((i) => index[i] === k);
}

function joined(parts: readonly Int32Array[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Every pair of classes, in order. */
function pairsOf(count: number): (readonly [number, number])[] {
  const pairs: [number, number][] = [];
  for (let a = 0; a < count; a++) for (let b = a + 1; b < count; b++) pairs.push([a, b]);
  return pairs;
}
