import { describe, expect, it } from "vitest";
import { EstimatorError, LinearSVC, LogisticRegression, StandardScaler, SVC } from "./index.js";
import { Random } from "./random.js";

const x = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
];
const y = [0, 0, 1, 1];
const all = { LinearSVC, SVC, LogisticRegression };

/** Two clouds that overlap. */
function clouds(rows: number, columns: number, scale = 1) {
  const random = new Random(3);
  const normal = () => Array.from({ length: 12 }, () => random.below(1e6) / 1e6).reduce((a, b) => a + b, -6);
  const data = new Float32Array(rows * columns);
  const classes = Int32Array.from({ length: rows }, (_, i) => i % 2);
  for (let i = 0; i < data.length; i++) {
    data[i] = scale * (normal() + (classes[Math.floor(i / columns)]! ? 0.2 : -0.2));
  }
  return { matrix: { data, rows, columns }, classes };
}

describe.each(Object.entries(all))("%s", (name, Estimator) => {
  const fit = (data: Parameters<SVC["fit"]>[0], classes: ArrayLike<number>) => () =>
    new Estimator().fit(data, classes);

  it.each([
    ["rows and classes that differ in number", x, [0, 1], "E_SHAPE", "x has 4 rows, y has 2 classes"],
    ["no rows", [], [], "E_SHAPE", "x is [0, 0]"],
    ["rows of different lengths", [[1, 2], [3]], [0, 1], "E_SHAPE", "row 1 of x has 1 numbers, row 0 has 2"],
    [
      "a matrix of another size",
      { data: [1, 2, 3], rows: 2, columns: 2 },
      [0, 1],
      "E_SHAPE",
      "[2, 2], but has 3",
    ],
    [
      "NaN",
      [
        [1, 2],
        [3, Number.NaN],
      ],
      [0, 1],
      "E_NOT_FINITE",
      "NaN in row 1, column 1",
    ],
    ["infinity", [[Number.POSITIVE_INFINITY], [3]], [0, 1], "E_NOT_FINITE", "Infinity in row 0, column 0"],
    ["one class", x, [5, 5, 5, 5], "E_ONE_CLASS", "every example is of class 5"],
    ["classes that are no whole numbers", x, [0, 0.5, 1, 1], "E_LABEL", "y is 0.5 at 1"],
  ] as const)("refuses %s", (_, data, classes, code, words) => {
    expect(fit(data, classes)).toThrow(EstimatorError);
    expect(fit(data, classes)).toThrow(expect.objectContaining({ code }));
    expect(fit(data, classes)).toThrow(words);
    expect(fit(data, classes)).toThrow(`${name}: `);
  });

  it("refuses other features than it was fitted with, and to predict before", () => {
    expect(() => new Estimator().predict(x)).toThrow("call fit(x, y) first");
    expect(() => new Estimator().fit(x, y).predict([[1, 2, 3]])).toThrow(
      "x has 3 features, but was fitted with 2",
    );
  });

  it("refuses options out of range", () => {
    expect(() => new Estimator({ C: 0 })).toThrow(`${name}: C is 0, expected a number over 0`);
    expect(() => new Estimator({ tol: Number.NaN })).toThrow("tol is NaN");
    expect(() => new Estimator({ classWeight: { 1: -2 } }).fit(x, y)).toThrow("classWeight of 1 is -2");
  });

  it("says that it stopped too early, as a warning", () => {
    const { matrix, classes } = clouds(60, 4, 50);
    const warnings: string[] = [];
    new Estimator({ maxIter: 1, tol: 1e-9, onWarning: (message) => warnings.push(message) }).fit(
      matrix,
      classes,
    );
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/^ConvergenceWarning: .*Increase maxIter/);
  });

  it("gives the same for arrays of rows, f32 and f64, and again", () => {
    const { matrix, classes } = clouds(50, 3);
    const rows = Array.from({ length: 50 }, (_, i) => matrix.data.subarray(i * 3, i * 3 + 3));
    const first = new Estimator().fit(matrix, classes).decisionFunction(matrix);
    const f64 = { ...matrix, data: Float64Array.from(matrix.data) };
    expect(new Estimator().fit(rows, classes).decisionFunction(rows)).toEqual(first);
    expect(new Estimator().fit(f64, classes).decisionFunction(f64)).toEqual(first);
  });
});

describe("options", () => {
  it("names kernels there are, and what hinge needs", () => {
    expect(() => new SVC({ kernel: "cosine" as "rbf" })).toThrow("Use linear, poly, rbf or sigmoid");
    expect(() => new SVC({ gamma: -1 })).toThrow("gamma is -1");
    expect(() => new LinearSVC({ loss: "hinge", dual: false })).toThrow("in the dual only");
    expect(() => new SVC().fit(x, y).coef_).toThrow("this one is rbf");
    expect(() => new StandardScaler().transform(x)).toThrow("StandardScaler knows no data yet");
  });
});

describe("SVC", () => {
  it("comes to the same with a cache of two rows", () => {
    const { matrix, classes } = clouds(120, 5);
    const kept = new SVC({ tol: 1e-6 }).fit(matrix, classes);
    const forgotten = new SVC({ tol: 1e-6, cacheSize: 1e-6 }).fit(matrix, classes);
    expect(forgotten.dualCoef_).toEqual(kept.dualCoef_);
    expect(forgotten.nIter_).toEqual(kept.nIter_);
  });
});

describe("LinearSVC", () => {
  it("finds one optimum from the primal and from the dual", () => {
    const { matrix, classes } = clouds(200, 8);
    const fit = (dual: boolean) =>
      new LinearSVC({ dual, tol: 1e-9, maxIter: 1e5 }).fit(matrix, classes).coef_.data;
    const primal = fit(false);
    fit(true).forEach((value, j) => {
      expect(value).toBeCloseTo(primal[j]!, 6);
    });
  });
});
