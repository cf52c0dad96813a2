import { type Classes, type ClassWeight, findClasses, weightsOf } from "./classes.js";
import { expectPositive, type WarningOptions } from "./errors.js";
import { minimize, type Objective } from "./lbfgs.js";
import { LinearClassifier } from "./linear-classifier.js";
import { addRows, type DenseMatrix, type MatrixLike, multiplyRows, toMatrix } from "./matrix.js";

/** Options of {@link LogisticRegression}: scikit-learn's. */
export interface LogisticRegressionOptions extends WarningOptions {
  /** Inverse of the strength of the L2 penalty. Default 1. */
  C?: number;
  /** The largest entry of the gradient that counts as none. Default 1e-4. */
  tol?: number;
  /** Default 100. */
  maxIter?: number;
  /** Default true. */
  fitIntercept?: boolean;
  /** Default null: 1 each. */
  classWeight?: ClassWeight;
}

/**
 * Logistic regression with an L2 penalty on all but the intercept, by L-BFGS; multinomial for more than two classes. As
 * `sklearn.linear_model.LogisticRegression()`.
 */
export class LogisticRegression extends LinearClassifier {
  readonly #options: Required<LogisticRegressionOptions>;

  /** @throws EstimatorError `E_OPTION` */
  constructor(options: LogisticRegressionOptions = {}) {
    super();
    this.#options = {
      C: 1,
      tol: 1e-4,
      maxIter: 100,
      fitIntercept: true,
      classWeight: null,
      onWarning: console.warn,
      ...options,
    };
    for (const name of ["C", "tol", "maxIter"] as const) {
      expectPositive("LogisticRegression", name, this.#options[name]);
    }
  }

  fit(x: MatrixLike, y: ArrayLike<number>): this {
    const { C, tol, maxIter, fitIntercept, classWeight, onWarning } = this.#options;
    const matrix = toMatrix(x, "LogisticRegression");
    const classes = findClasses(y, matrix.rows, "LogisticRegression");
    const byClass = weightsOf(classes, classWeight, "LogisticRegression");
    const weights = Float64Array.from(classes.index, (c) => byClass[c]!);
    const vectors = classes.classes.length === 2 ? 1 : classes.classes.length;
    const { columns } = matrix;
    const objective = lossOf(matrix, classes, weights, { C, fitIntercept, vectors });
    const {
      x: found,
      iterations,
      converged,
    } = minimize(objective, new Float64Array(vectors * (columns + 1)), {
      maxIter,
      gradientTolerance: tol,
      valueTolerance: 64 * Number.EPSILON,
    });
    if (!converged) {
      onWarning(
        `ConvergenceWarning: lbfgs failed to converge after ${iterations} iterations (maxIter ${maxIter}). ` +
          "Increase maxIter, or scale the data (StandardScaler).",
      );
    }
    this.fitted = {
      classes: classes.classes,
      coef: { data: found.slice(0, vectors * columns), rows: vectors, columns },
      intercept: found.slice(vectors * columns),
      iterations,
    };
    return this;
  }

  /** Probability of each class. @returns [N, K] */
  predictProba(x: MatrixLike): Float64Array {
    const decisions = this.decisionFunction(x);
    if (this.coef_.rows > 1) {
      softmaxRows(decisions, this.coef_.rows);
      return decisions;
    }
    const out = new Float64Array(2 * decisions.length);
    decisions.forEach((value, i) => {
      out[2 * i] = sigmoid(-value);
      out[2 * i + 1] = sigmoid(value);
    });
    return out;
  }
}

interface LossOptions {
  C: number;
  fitIntercept: boolean;
  /** Vectors that are learnt: 1 for two classes, else one a class. */
  vectors: number;
}

/** Mean of the weighted losses plus the penalty, over coefficients [vectors, D] and intercepts [vectors]. */
function lossOf(
  matrix: DenseMatrix,
  classes: Classes,
  weights: Float64Array,
  options: LossOptions,
): Objective {
  const { rows, columns } = matrix;
  const { C, fitIntercept, vectors } = options;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const scores = Array.from({ length: vectors }, () => new Float64Array(rows));
  const lossAndErrors = vectors === 1 ? binary : multinomial;
  return (x, gradient) => {
    const coefficients = vectors * columns;
    scores.forEach((score, k) => {
      multiplyRows(matrix, x, k * columns, score);
      const intercept = x[coefficients + k]!;
      for (let i = 0; i < rows; i++) score[i]! += intercept;
    });
    let value = lossAndErrors(scores, classes.index, weights) / total;
    gradient.fill(0);
    for (let j = 0; j < coefficients; j++) {
      value += (x[j]! * x[j]!) / (2 * C * total);
      gradient[j] = x[j]! / C;
    }
    scores.forEach((errors, k) => {
      addRows(matrix, errors, gradient, k * columns);
      if (fitIntercept) gradient[coefficients + k] = errors.reduce((sum, e) => sum + e, 0);
    });
    for (let j = 0; j < gradient.length; j++) gradient[j]! /= total;
    return value;
  };
}

/** Sum of the losses of two classes; replaces the scores by their derivatives. */
function binary([scores]: Float64Array[], index: Int32Array, weights: Float64Array): number {
  let loss = 0;
  for (let i = 0; i < index.length; i++) {
    const score = scores![i]!;
    // log(1 + exp(z)) without overflow
    const z = index[i] === 1 ? -score : score;
    loss += weights[i]! * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))));
    scores![i] = weights[i]! * (sigmoid(score) - index[i]!);
  }
  return loss;
}

/** Sum of the cross entropies of K classes; replaces the scores by their derivatives. */
function multinomial(scores: Float64Array[], index: Int32Array, weights: Float64Array): number {
  let loss = 0;
  for (let i = 0; i < index.length; i++) {
    let most = Number.NEGATIVE_INFINITY;
    for (const score of scores) most = Math.max(most, score[i]!);
    let sum = 0;
    for (const score of scores) sum += Math.exp(score[i]! - most);
    loss += weights[i]! * (Math.log(sum) + most - scores[index[i]!]![i]!);
    scores.forEach((score, k) => {
      const probability = Math.exp(score[i]! - most) / sum;
      score[i] = weights[i]! * (probability - (index[i] === k ? 1 : 0));
    });
  }
  return loss;
}

function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
}

function softmaxRows(values: Float64Array, columns: number): void {
  for (let begin = 0; begin < values.length; begin += columns) {
    const row = values.subarray(begin, begin + columns);
    const most = Math.max(...row);
    let sum = 0;
    for (let j = 0; j < columns; j++) {
      row[j] = Math.exp(row[j]! - most);
      sum += row[j]!;
    }
    for (let j = 0; j < columns; j++) row[j]! /= sum;
  }
}
