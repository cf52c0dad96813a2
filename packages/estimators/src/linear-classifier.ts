import { accuracy } from "./classes.js";
import { expectFitted } from "./errors.js";
import { type DenseMatrix, type MatrixLike, toMatrix } from "./matrix.js";
import { BLOCK, multiplyBlock } from "./products.js";

/** What is learnt: a vector and an intercept for each class, or one of both for two classes. */
export interface LinearFit {
  readonly classes: Int32Array;
  readonly coef: DenseMatrix;
  readonly intercept: Float64Array;
  readonly iterations: number;
}

/** A classifier that decides by coef · x + intercept. N examples, D features, K classes. */
export abstract class LinearClassifier {
  #fit: LinearFit | null = null;

  /** Learns from N examples and their classes. */
  abstract fit(x: MatrixLike, y: ArrayLike<number>): this;

  protected set fitted(fit: LinearFit) {
    this.#fit = fit;
  }

  protected get fitted(): LinearFit {
    return expectFitted(this.constructor.name, this.#fit);
  }

  /** The classes, sorted. */
  get classes_(): Int32Array {
    return this.fitted.classes;
  }

  /** [K, D], or [1, D] for two classes, where it speaks for the second. */
  get coef_(): DenseMatrix {
    return this.fitted.coef;
  }

  /** [K], or [1] */
  get intercept_(): Float64Array {
    return this.fitted.intercept;
  }

  /** Iterations that fitting took; of several fits, the most. */
  get nIter_(): number {
    return this.fitted.iterations;
  }

  /** How far each example is on the side of each class. @returns [N] for two classes (over 0: the second), else [N, K] */
  decisionFunction(x: MatrixLike): Float64Array {
    const { coef, intercept } = this.fitted;
    const matrix = toMatrix(x, this.constructor.name, coef.columns);
    const out = new Float64Array(matrix.rows * coef.rows);
    for (let from = 0; from < matrix.rows; from += BLOCK) {
      const count = Math.min(BLOCK, matrix.rows - from);
      const block = out.subarray(from * coef.rows, (from + count) * coef.rows);
      multiplyBlock(matrix, from, count, coef.data, coef.rows, block);
      for (let i = 0; i < block.length; i++) block[i]! += intercept[i % coef.rows]!;
    }
    return out;
  }

  /** The class of each example. @returns [N] */
  predict(x: MatrixLike): Int32Array {
    const decisions = this.decisionFunction(x);
    const { classes, coef } = this.fitted;
    if (coef.rows === 1) return Int32Array.from(decisions, (value) => classes[value > 0 ? 1 : 0]!);
    const out = new Int32Array(decisions.length / coef.rows);
    for (let i = 0; i < out.length; i++) {
      let best = 0;
      for (let k = 1; k < coef.rows; k++) {
        if (decisions[i * coef.rows + k]! > decisions[i * coef.rows + best]!) best = k;
      }
      out[i] = classes[best]!;
    }
    return out;
  }

  /** Share of the examples that are given their class. */
  score(x: MatrixLike, y: ArrayLike<number>): number {
    return accuracy(y, this.predict(x), this.constructor.name);
  }
}
