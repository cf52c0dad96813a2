import { expect, test } from "vitest";
import { DataLoader } from "./data-loader.js";
import { Dataset } from "./dataset.js";
import { RandomSampler, SequentialSampler } from "./sampler.js";
import { thrownBy } from "./testing/helpers.js";

const numbers = (n: number): Dataset<{ x: number }> =>
  Dataset.fromDict<{ x: number }>({ x: Array.from({ length: n }, (_, i) => i) });
const drain = (loader: DataLoader<{ x: number }>): number[][] =>
  [...loader].map((batch) => [...(batch.x as Float64Array)]);

test("batches in order, the last one short or left out", () => {
  expect(drain(new DataLoader(numbers(5), { batchSize: 2 }))).toEqual([[0, 1], [2, 3], [4]]);
  const dropping = new DataLoader(numbers(5), { batchSize: 2, dropLast: true });
  expect(drain(dropping)).toEqual([
    [0, 1],
    [2, 3],
  ]);
  expect(dropping.length).toBe(2);
  expect(new DataLoader(numbers(5), { batchSize: 2 }).length).toBe(3);
});

test("each epoch has an order of its own, the same in every run", () => {
  const loader = new DataLoader(numbers(20), { batchSize: 4, shuffle: true, seed: 9 });
  const epochs = [drain(loader), drain(loader)];
  expect(epochs[0]).not.toEqual(epochs[1]);
  expect(epochs[1]!.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  const again = new DataLoader(numbers(20), { batchSize: 4, shuffle: true, seed: 9 });
  again.setEpoch(1);
  expect(drain(again)).toEqual(epochs[1]);
});

test.each([
  [20, 4, false],
  [18, 4, false],
  [18, 4, true],
])(
  "resumed anywhere, %i rows in batches of %i (dropLast %s) come as if nothing had happened",
  (n, batchSize, dropLast) => {
    const make = () => new DataLoader(numbers(n), { batchSize, shuffle: true, seed: 3, dropLast });
    const whole = make();
    const expected = [0, 1, 2].flatMap(() => drain(whole));
    for (let stop = 1; stop <= expected.length; stop++) {
      const first = make();
      const got: number[][] = [];
      let saved = JSON.stringify(first.state());
      while (got.length < stop) {
        for (const batch of first) {
          got.push([...(batch.x as Float64Array)]);
          saved = JSON.stringify(first.state());
          if (got.length === stop) break;
        }
      }
      const second = make();
      second.loadState(JSON.parse(saved));
      // A training loop names the epoch that it is in; that must not undo the resume.
      second.setEpoch(second.state().epoch);
      while (got.length < expected.length) got.push(...drain(second));
      expect(got).toEqual(expected);
    }
  },
);

test("an iteration that was broken off starts over unless a state is loaded", () => {
  const loader = new DataLoader(numbers(6), { batchSize: 2 });
  for (const batch of loader) {
    expect(batch.x![0]).toBe(0);
    break;
  }
  expect(drain(loader)).toHaveLength(3);
});

test("collateFn gets rows; promises are awaited by for await", async () => {
  const loader = new DataLoader(numbers(3), {
    batchSize: 2,
    collateFn: async (rows) => rows.map((row) => row.x * 10),
  });
  const got: number[][] = [];
  for await (const batch of loader) got.push(batch);
  expect(got).toEqual([[0, 10], [20]]);
});

test("a sampler of one's own", () => {
  const sampler = new RandomSampler(6, 4);
  const loader = new DataLoader(numbers(6), { batchSize: 6, sampler });
  expect(drain(loader)[0]).toEqual([...new RandomSampler(6, 4)]);
  expect([...new SequentialSampler(3)]).toEqual([0, 1, 2]);
});

test("nothing to load, and options that make no sense", () => {
  expect(thrownBy(() => new DataLoader(numbers(0))).code).toBe("E_EMPTY");
  expect(thrownBy(() => new DataLoader(numbers(3), { batchSize: 4, dropLast: true })).message).toContain(
    "its 3 rows do not fill one batch of 4",
  );
  expect(thrownBy(() => new DataLoader(numbers(3), { batchSize: 0 })).code).toBe("E_ARGUMENT");
  const both = { sampler: new SequentialSampler(3), shuffle: true };
  expect(thrownBy(() => new DataLoader(numbers(3), both)).code).toBe("E_ARGUMENT");
  const loader = new DataLoader(numbers(3));
  expect(thrownBy(() => loader.loadState({ epoch: 0, position: 9 })).message).toContain(
    "this data set has 3 rows",
  );
});
