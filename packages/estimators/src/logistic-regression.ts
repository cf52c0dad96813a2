import { type Classes, type ClassWeight, findClasses, weightsOf } from "./classes.js";
import { expectPositive, type WarningOptions } from "./errors.js";
import { minimize, type Objective } from "./lbfgs.js";
import { LinearClassifier } from "./linear-classifier.js";
import { addRows, type DenseMatrix, type MatrixLike, multiplyRows, toMatrix } from "./matrix.js";
import { addBlock, BLOCK, multiplyBlock } from "./products.js";

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
  /** Is called after every iteration, for those who wait: with how many there were, and the mean loss with its penalty. */
  onIteration?: (iteration: number, value: number) => void;
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
      onIteration: () => {},
      ...options,
    };
    for (const name of ["C", "tol", "maxIter"] as const) {
      expectPositive("LogisticRegression", name, this.#options[name]);
    }
  }

  fit(x: MatrixLike, y: ArrayLike<number>): this {
    const { C, tol, maxIter, fitIntercept, classWeight, onWarning, onIteration } = this.#options;
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
      onIteration,
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

/** Adds the gradient of a sum of losses to that of the penalty; returns the sum. x and gradient: coefficients [vectors, D], intercepts [vectors]. */
type SumOfLosses = (x: Float64Array, gradient: Float64Array) => number;

/** Mean of the weighted losses plus the penalty, over coefficients [vectors, D] and intercepts [vectors]. */
function lossOf(
  matrix: DenseMatrix,
  classes: Classes,
  weights: Float64Array,
  { C, fitIntercept, vectors }: LossOptions,
): Objective {
  const coefficients = vectors * matrix.columns;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const losses = (vectors === 1 ? binary : multinomial)(matrix, classes, weights);
  return (x, gradient) => {
    let penalty = 0;
    gradient.fill(0);
    for (let j = 0; j < coefficients; j++) {
      penalty += (x[j]! * x[j]!) / (2 * C);
      gradient[j] = x[j]! / C;
    }
    const value = (losses(x, gradient) + penalty) / total;
    for (let j = 0; j < gradient.length; j++) gradient[j]! /= total;
    if (!fitIntercept) gradient.fill(0, coefficients);
    return value;
  };
}

/** Losses of two classes. */
function binary(matrix: DenseMatrix, { index }: Classes, weights: Float64Array): SumOfLosses {
  const { rows, columns } = matrix;
  const errors = new Float64Array(rows);
  return (x, gradient) => {
    multiplyRows(matrix, x, 0, errors);
    const intercept = x[columns]!;
    let loss = 0;
    for (let i = 0; i < rows; i++) {
      const score = errors[i]! + intercept;
      // log(1 + exp(z)) without overflow
      const z = index[i] === 1 ? -score : score;
      loss += weights[i]! * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))));
      errors[i] = weights[i]! * (sigmoid(score) - index[i]!);
    }
    addRows(matrix, errors, gradient, 0);
    gradient[columns] = errors.reduce((sum, e) => sum + e, 0);
    return loss;
  };
}

/** Cross entropies of K classes, a block of rows after the other. */
function multinomial(
  matrix: DenseMatrix,
  { index, classes: { length: width } }: Classes,
  weights: Float64Array,
): SumOfLosses {
  const { rows, columns } = matrix;
  const block = new Float64Array(BLOCK * width);
  return (x, gradient) => {
    const intercepts = x.subarray(width * columns);
    const ofIntercepts = gradient.subarray(width * columns);
    let loss = 0;
    for (let from = 0; from < rows; from += BLOCK) {
      const count = Math.min(BLOCK, rows - from);
      multiplyBlock(matrix, from, count, x, width, block);
      for (let i = 0; i < count; i++) {
        const at = i * width;
        const weight = weights[from + i]!;
        const truth = at + index[from + i]!;
        let most = Number.NEGATIVE_INFINITY;
        for (let k = 0; k < width; k++) {
          const score = block[at + k]! + intercepts[k]!;
          block[at + k] = score;
          if (score > most) most = score;
        }
        const ofTruth = block[truth]!;
        let sum = 0;
        for (let k = at; k < at + width; k++) {
          const power = Math.exp(block[k]! - most);
          block[k] = power;
          sum += power;
        }
        loss += weight * (Math.log(sum) + most - ofTruth);
        const scale = weight / sum;
        for (let k = at; k < at + width; k++) block[k]! *= scale;
        block[truth]! -= weight;
        for (let k = 0; k < width; k++) ofIntercepts[k]! += block[at + k]!;
      }
      addBlock(matrix, from, count, block, width, gradient);
    }
    return loss;
  };
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
