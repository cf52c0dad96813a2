import { expect, it } from "vitest";
import { argmaxRows, classificationMetrics, confusionMatrix, perClassMetrics } from "./metrics.js";

// Reference: sklearn.metrics.classification_report([0,0,0,1,1,2], [0,1,0,1,2,1]), weighted averages by hand.
const labelIds = Int32Array.of(0, 0, 0, 1, 1, 2);
const predictions = Float32Array.of(3, 1, 0, 0, 2, 1, 5, 4, 4, 0, 1, 0, 0, 0, 1, 0, 2, 1);

it("takes the first of equal logits", () => {
  expect([...argmaxRows(predictions, 3)]).toEqual([0, 1, 0, 1, 2, 1]);
  expect([...argmaxRows(Float32Array.of(1, 1), 2)]).toEqual([0]);
});

it("counts and averages as scikit-learn does", () => {
  const confusion = confusionMatrix(labelIds, argmaxRows(predictions, 3), 3);
  expect(confusion).toEqual([
    [2, 1, 0],
    [0, 1, 1],
    [0, 1, 0],
  ]);
  const [first, second, third] = perClassMetrics(confusion);
  expect(first).toMatchObject({ precision: 1, support: 3 });
  expect(second!.precision).toBeCloseTo(1 / 3, 12);
  expect(third).toMatchObject({ precision: 0, recall: 0, f1: 0 });
  const got = classificationMetrics({ predictions, labelIds, numLabels: 3 });
  expect(got.accuracy).toBeCloseTo(0.5, 12);
  expect(got.precision).toBeCloseTo((3 * 1 + 2 / 3 + 0) / 6, 12);
  expect(got.recall).toBeCloseTo(0.5, 12);
  expect(got.f1).toBeCloseTo((3 * 0.8 + 2 * 0.4 + 0) / 6, 12);
});
