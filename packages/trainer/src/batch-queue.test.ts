import { RandomSampler, SequentialSampler } from "@wgrad/datasets";
import { describe, expect, it } from "vitest";
import { BatchQueue, exampleLengths, type TrainerDataset } from "./batch-queue.js";
import { dataCollatorWithPadding, type Example, type TokenBatch } from "./data-collator.js";
import { LengthGroupedSampler, LengthSortedSampler } from "./samplers.js";

/** A data set of one's own: example i has the token i + 1 and a length of its own. */
const dataset = (n: number): TrainerDataset => {
  const at = (i: number): Example => ({ inputIds: new Array(1 + ((i * 7) % 5)).fill(i + 1), label: 0 });
  return { numRows: n, at, rows: (indices) => indices.map(at) };
};
const collate = dataCollatorWithPadding({ padTokenId: 0 });
const options = { batchSize: 4, dropLast: false, ahead: 0, training: true };

async function drain(queue: BatchQueue): Promise<number[][]> {
  const out: number[][] = [];
  while (queue.remaining > 0) out.push([...(await queue.next()).indices]);
  return out;
}

describe("BatchQueue", () => {
  it.each([0, 3])("hands out an epoch and goes on after a resume, %i batches ahead", async (ahead) => {
    const make = () => new BatchQueue(dataset(18), new RandomSampler(18, 5), collate, { ...options, ahead });
    const whole = make();
    whole.begin(0);
    const first = await drain(whole);
    expect(first.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 18 }, (_, i) => i));
    whole.end();
    whole.begin(1);
    const second = await drain(whole);
    expect(second).not.toEqual(first);
    for (let stop = 0; stop <= first.length; stop++) {
      const before = make();
      before.begin(0);
      for (let b = 0; b < stop; b++) {
        await before.next();
        before.fill();
      }
      const after = make();
      after.load(JSON.parse(JSON.stringify(before.state)));
      after.begin(after.state.epoch);
      expect(await drain(after)).toEqual(first.slice(stop));
      after.end();
      after.begin(1);
      expect(await drain(after)).toEqual(second);
    }
  });

  it("has so many async batches under way at once, and gives them in order", async () => {
    let running = 0;
    let most = 0;
    const slow = async (examples: readonly Example[]) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, examples[0]!.inputIds[0] === 1 ? 20 : 1));
      running--;
      return collate(examples);
    };
    const queue = new BatchQueue(dataset(20), new SequentialSampler(20), slow, { ...options, ahead: 3 });
    queue.begin(0);
    queue.fill();
    const order: number[] = [];
    while (queue.remaining > 0) {
      const { batch } = await queue.next();
      queue.fill();
      order.push((batch as TokenBatch).inputIds[0]!);
    }
    expect(order).toEqual([1, 5, 9, 13, 17]);
    expect(most).toBe(3);
  });

  it("reports a failing collator when its batch is due, and data without a batch at once", async () => {
    const failing = async (examples: readonly Example[]) => {
      if (examples[0]!.inputIds[0] === 5) throw new Error("no such image");
      return collate(examples);
    };
    const queue = new BatchQueue(dataset(8), new SequentialSampler(8), failing, { ...options, ahead: 2 });
    queue.begin(0);
    queue.fill();
    await queue.next();
    await expect(queue.next()).rejects.toThrow("no such image");
    const make = (n: number) => () =>
      new BatchQueue(dataset(n), new SequentialSampler(n), collate, { ...options, dropLast: true });
    expect(make(3)).toThrow("its 3 rows do not fill a batch of 4");
    expect(make(0)).toThrow("there is no batch");
    expect(make(9)().length).toBe(2);
  });
});

describe("samplers by length", () => {
  it("put similar lengths together, the longest first, in an order of each epoch's own", () => {
    const lengths = exampleLengths(dataset(60));
    const make = () => new LengthGroupedSampler(lengths, 4, 3);
    const [sampler, again] = [make(), make()];
    const [one, two] = [[...sampler], [...sampler]];
    expect([...again]).toEqual(one);
    expect(two).not.toEqual(one);
    expect([...one].sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i));
    expect(lengths[one[0]!]).toBe(5);
    const spread = (order: number[]) => {
      let sum = 0;
      for (let at = 0; at < order.length; at += 4) {
        const batch = order.slice(at, at + 4).map((i) => lengths[i]!);
        sum += Math.max(...batch) - Math.min(...batch);
      }
      return sum;
    };
    expect(spread(one)).toBeLessThan(0.5 * spread([...new RandomSampler(60, 3)]));
    expect(lengths[[...new LengthSortedSampler(lengths)].at(-1)!]).toBe(1);
  });

  it("take the lengths of a column where there is one", () => {
    const rows = [4, 9n].map((length) => ({ inputIds: [1], length }));
    const own: TrainerDataset = { numRows: 2, at: (i) => rows[i]!, rows: (at) => at.map((i) => rows[i]!) };
    expect([...exampleLengths(own, "length")]).toEqual([4, 9]);
  });
});
