import { expect, it } from "vitest";
import { toPixelValues } from "./normalize.js";

const normalization = { rescaleFactor: 1 / 255, mean: [0.5, 0.25, 0], std: [0.5, 0.25, 2] };
const image = { data: Uint8Array.of(0, 255, 255, 255, 0, 51), width: 2, height: 1 };

it("takes the mean away, divides by the deviation and puts the channels first", () => {
  expect([...toPixelValues(image, normalization)]).toEqual([-1, 1, 3, -1, 0.5, Math.fround(0.1)]);
});

it("writes into the memory of a batch", () => {
  const batch = new Float32Array(14).fill(9);
  expect(toPixelValues(image, normalization, batch, 7)).toBe(batch);
  expect([...batch.subarray(6, 8), batch[13]]).toEqual([9, -1, 9]);
});

it("names what does not fit", () => {
  expect(() => toPixelValues(image, normalization, new Float32Array(8), 3)).toThrow(
    "[3, 1, 2] at 3 needs 9 elements, out has 8",
  );
  expect(() => toPixelValues(image, { ...normalization, std: [1, 0, 1] })).toThrow(
    "std is [1, 0, 1], expected 3 numbers other than 0",
  );
  expect(() => toPixelValues(image, { ...normalization, mean: [1] })).toThrow(
    "mean is [1], expected 3 numbers",
  );
});
