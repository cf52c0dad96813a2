import { expect, test } from "vitest";
import { BagOfWords } from "./baseline.js";

test("the optimum of a problem that can be worked out by hand", () => {
  // Two words, one a class: by symmetry the weights are w and -w, and w = σ(-w) · c for one text each.
  const model = BagOfWords.train(["good", "bad"], [1, 0], { tolerance: 1e-10 });
  const w = model.weights[0]!;
  expect(w).toBeCloseTo(1 / (1 + Math.exp(w)), 8);
  expect(model.weights[1]).toBeCloseTo(-w, 8);
  expect(model.weights[2]).toBeCloseTo(0, 8);
  expect([model.predict("good"), model.predict("Bad bad good"), model.accuracy(["good"], [1])]).toEqual([
    1, 0, 1,
  ]);
});

const SKLEARN = [1.604346, 0.678216, -0.453684, -0.079256];
const SKLEARN_INTERCEPT = -1.269955;

test("scikit-learn's optimum (LogisticRegression(C=2, tol=1e-10) on counts)", () => {
  const texts = ["a b", "a a c", "b c", "c", "a b b d", "d"];
  const model = BagOfWords.train(texts, [1, 1, 0, 0, 1, 0], { c: 2, tolerance: 1e-10 });
  const weight = (word: string): number => model.weights[model.vocabulary.get(word)!]!;
  expect([..."abcd"].map(weight)).toEqual(SKLEARN.map((w) => expect.closeTo(w, 5)));
  expect(model.weights.at(-1)).toBeCloseTo(SKLEARN_INTERCEPT, 5);
});

test("words split by an order that a bag cannot see are a coin's toss", () => {
  const model = BagOfWords.train(["x not y", "y not x", "x not y", "y not x"], [1, 0, 1, 0]);
  expect(Math.max(...model.weights.map(Math.abs))).toBeLessThan(1e-6);
});
