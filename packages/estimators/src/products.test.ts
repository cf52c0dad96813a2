import { describe, expect, it } from "vitest";
import { addBlock, multiplyBlock } from "./products.js";
import { Random } from "./random.js";

const random = new Random(11);
const numbers = (count: number) => Float64Array.from({ length: count }, () => random.below(2001) / 1000 - 1);

// Around the tile of 4 × 4, and what is left of rows, columns and vectors.
describe.each([
  { count: 1, columns: 1, width: 1 },
  { count: 3, columns: 2, width: 5 },
  { count: 4, columns: 4, width: 4 },
  { count: 7, columns: 9, width: 6 },
  { count: 9, columns: 5, width: 8 },
])("$count rows of $columns numbers, $width vectors", ({ count, columns, width }) => {
  const from = 2;
  const matrix = { data: numbers((from + count + 1) * columns), rows: from + count + 1, columns };
  const row = (i: number, j: number) => matrix.data[(from + i) * columns + j]!;

  it("multiplies as loops do", () => {
    const vectors = numbers(width * columns + 3);
    const out = new Float64Array(count * width);
    multiplyBlock(matrix, from, count, vectors, width, out);
    for (let i = 0; i < count; i++)
      for (let k = 0; k < width; k++) {
        let sum = 0;
        for (let j = 0; j < columns; j++) sum += row(i, j) * vectors[k * columns + j]!;
        expect(out[i * width + k]).toBeCloseTo(sum, 12);
      }
  });

  it("adds outer products as loops do", () => {
    const weights = numbers(count * width);
    const before = numbers(width * columns);
    const out = before.slice();
    addBlock(matrix, from, count, weights, width, out);
    for (let k = 0; k < width; k++)
      for (let j = 0; j < columns; j++) {
        let sum = before[k * columns + j]!;
        for (let i = 0; i < count; i++) sum += weights[i * width + k]! * row(i, j);
        expect(out[k * columns + j]).toBeCloseTo(sum, 12);
      }
  });
});
