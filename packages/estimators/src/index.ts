/** Classifiers on the CPU with scikit-learn's names, defaults and results. Runs in browsers. */
export type { ClassWeight } from "./classes.js";
export { EstimatorError, type WarningOptions } from "./errors.js";
export { LinearClassifier } from "./linear-classifier.js";
export { LinearSVC, type LinearSVCOptions } from "./linear-svc/index.js";
export { LogisticRegression, type LogisticRegressionOptions } from "./logistic-regression.js";
export type { DenseMatrix, Matrix, MatrixLike } from "./matrix.js";
export { StandardScaler } from "./standard-scaler.js";
export { SVC, type SVCOptions } from "./svc/index.js";
export type { KernelName } from "./svc/kernel.js";
