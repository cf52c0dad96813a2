import { type ClassWeight, findClasses, weightsOf } from "../classes.js";
import { EstimatorError, expectPositive, type WarningOptions } from "../errors.js";
import { LinearClassifier } from "../linear-classifier.js";
import { type MatrixLike, toMatrix } from "../matrix.js";
import { solveDual } from "./dual.js";
import { solvePrimal } from "./primal.js";
import type { BinaryProblem } from "./problem.js";

/** Options of {@link LinearSVC}: scikit-learn's. */
export interface LinearSVCOptions extends WarningOptions {
  /** Cost of an error against the size of the weights. Default 1. */
  C?: number;
  /** Default `"squared_hinge"`. */
  loss?: "hinge" | "squared_hinge";
  /** Which problem is solved: `"auto"`, the default, takes the primal where there are at least as many examples as features. */
  dual?: boolean | "auto";
  /** Default 1e-4. */
  tol?: number;
  /** Default 1000. */
  maxIter?: number;
  /** Default true. */
  fitIntercept?: boolean;
  /** Value of the feature whose weight is the intercept: the larger, the less the intercept is held small. Default 1. */
  interceptScaling?: number;
  /** Default null: 1 each. */
  classWeight?: ClassWeight;
  /** Seed of the order of the examples in the dual. Default 0. */
  randomState?: number;
}

/**
 * A linear support vector machine, one class against the rest for more than two. As `sklearn.svm.LinearSVC`: the intercept is held
 * small like the weights.
 */
export class LinearSVC extends LinearClassifier {
  readonly #options: Required<LinearSVCOptions>;

  /** @throws EstimatorError `E_OPTION` */
  constructor(options: LinearSVCOptions = {}) {
    super();
    this.#options = {
      C: 1,
      loss: "squared_hinge",
      dual: "auto",
      tol: 1e-4,
      maxIter: 1000,
      fitIntercept: true,
      interceptScaling: 1,
      classWeight: null,
      randomState: 0,
      onWarning: console.warn,
      ...options,
    };
    const { loss, dual } = this.#options;
    for (const name of ["C", "tol", "maxIter", "interceptScaling"] as const) {
      expectPositive("LinearSVC", name, this.#options[name]);
    }
    if (loss === "hinge" && dual === false) {
      throw new EstimatorError(
        "E_OPTION",
        'LinearSVC: loss "hinge" is solved in the dual only. Leave out dual: false.',
      );
    }
  }

  fit(x: MatrixLike, y: ArrayLike<number>): this {
    const { C, loss, dual, tol, maxIter, fitIntercept, interceptScaling, classWeight } = this.#options;
    const matrix = toMatrix(x, "LinearSVC");
    const classes = findClasses(y, matrix.rows, "LinearSVC");
    const byClass = weightsOf(classes, classWeight, "LinearSVC");
    const { columns, rows } = matrix;
    const count = classes.classes.length;
    const bias = fitIntercept ? interceptScaling : 0;
    const inDual = dual === "auto" ? loss === "hinge" || rows < columns : dual;
    // With two classes one vector speaks for both.
    const against = count === 2 ? [1] : Array.from({ length: count }, (_, k) => k);
    const coef = new Float64Array(against.length * columns);
    const intercept = new Float64Array(against.length);
    let iterations = 0;
    let converged = true;
    against.forEach((k, row) => {
      const problem: BinaryProblem = {
        matrix,
        y: Int8Array.from(classes.index, (c) => (c === k ? 1 : -1)),
        // The rest has the weight of no class, unless it is one.
        costs: Float64Array.from(classes.index, (c) => C * (c === k || count === 2 ? byClass[c]! : 1)),
        bias,
        tol,
        maxIter,
      };
      const solution = inDual
        ? solveDual(problem, loss === "squared_hinge", this.#options.randomState + row)
        : solvePrimal(problem);
      coef.set(solution.w.subarray(0, columns), row * columns);
      intercept[row] = solution.w[columns]! * bias;
      iterations = Math.max(iterations, solution.iterations);
      converged &&= solution.converged;
    });
    if (!converged) {
      this.#options.onWarning(
        `ConvergenceWarning: LinearSVC failed to converge in ${maxIter} iterations. Increase maxIter, or scale the data (StandardScaler).`,
      );
    }
    this.fitted = {
      classes: classes.classes,
      coef: { data: coef, rows: against.length, columns },
      intercept,
      iterations,
    };
    return this;
  }
}
