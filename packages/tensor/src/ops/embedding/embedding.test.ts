import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { Tensor } from "../../tensor.js";
import { testLadders } from "../../testing/ladders.js";
import { openBoth, stepChoices } from "../rows/testing.js";
import { embedding } from "./index.js";
import { entries } from "./lab.js";
import { embeddingBackwardLadder } from "./ladder.js";
import { embeddingBackwardReference, embeddingReference } from "./reference.js";

/** Reproducible numbers in [-1, 1): the test must not depend on a run. */
function numbers(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const cases = [
  { name: "one id", rows: 3, width: 4, ids: [2], shape: [1], paddingIdx: null },
  { name: "a 0-d id", rows: 3, width: 4, ids: [1], shape: [], paddingIdx: null },
  {
    name: "width not a multiple of 4",
    rows: 5,
    width: 7,
    ids: [0, 4, 4, 1, 0, 4],
    shape: [2, 3],
    paddingIdx: null,
  },
  { name: "padding row", rows: 5, width: 8, ids: [1, 0, 1, 1, 3, 0], shape: [6], paddingIdx: 1 },
  {
    name: "padding row from the end",
    rows: 5,
    width: 8,
    ids: [1, 4, 1, 4, 3, 0],
    shape: [6],
    paddingIdx: -1,
  },
  {
    name: "one row for all",
    rows: 300,
    width: 12,
    ids: new Array(500).fill(7),
    shape: [500],
    paddingIdx: null,
  },
  {
    name: "many ids, wider than a workgroup",
    rows: 211,
    width: 300,
    ids: Array.from({ length: 400 }, (_, i) => (i * i * 31) % 211),
    shape: [20, 20],
    paddingIdx: 0,
  },
] as const;

const devices = await openBoth();
afterAll(() => {
  for (const { device } of devices) device.close();
});
testLadders(entries, devices);

describe("embedding", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  for (const dtype of ["i32", "u32"] as const) {
    for (const { name, rows, width, ids, shape, paddingIdx } of cases) {
      it(`${name}, ${dtype}: forward and gradient`, async () => {
        const table = numbers(rows * width);
        const weight = Tensor.from(device, table, [rows, width], { requiresGrad: true });
        const y = embedding(weight, Tensor.from(device, Int32Array.from(ids), shape, { dtype }), {
          paddingIdx,
        });
        expect(y.shape).toEqual([...shape, width]);
        expect(await y.toArray()).toEqual(embeddingReference(table, ids, width));
        const dy = numbers(ids.length * width, 2);
        y.backward({ gradient: Tensor.from(device, dy, y.shape) });
        const row = paddingIdx !== null && paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
        const want = embeddingBackwardReference(dy, ids, rows, width, row);
        const got = (await weight.grad!.toArray()) as Float32Array;
        const worst = got.reduce((largest, value, i) => Math.max(largest, Math.abs(value - want[i]!)), 0);
        // Up to 500 f32 additions of values below 1.
        expect(worst).toBeLessThan(3e-5);
      });
    }
  }

  it("gives the same bits every time and with every step, however often ids repeat", async () => {
    const weight = Tensor.zeros(device, [50, 64]).requiresGrad_();
    const ids = Tensor.from(
      device,
      Int32Array.from({ length: 2000 }, (_, i) => (i * 7919) % 13),
      [2000],
    );
    const gradient = Tensor.from(device, numbers(2000 * 64), [2000, 64]);
    const runs: unknown[] = [];
    for (const choice of stepChoices(device, [embeddingBackwardLadder])) {
      choice.apply();
      for (let run = 0; run < 2; run++) {
        embedding(weight, ids).backward({ gradient });
        runs.push(await weight.grad!.toArray());
        weight.grad!.dispose();
        weight.grad = null;
      }
      device.variants.clear();
    }
    for (const run of runs) expect(run).toEqual(runs[0]);
  });

  it("takes transposed ids, a table that is a part of another tensor, and a strided gradient", async () => {
    const all = numbers(6 * 4);
    const base = Tensor.from(device, all, [6, 4], { requiresGrad: true });
    const table = base.narrow(0, 1, 5);
    const ids = Tensor.from(device, Int32Array.of(0, 1, 2, 3, 4, 0), [2, 3]).transpose(0, 1);
    const y = embedding(table, ids);
    const order = [0, 3, 1, 4, 2, 0];
    expect(await y.toArray()).toEqual(embeddingReference(all.slice(4), order, 4));
    const dy = numbers(24, 3);
    y.transpose(0, 2).backward({ gradient: Tensor.from(device, dy, [4, 2, 3]) });
    const plain = Float32Array.from({ length: 24 }, (_, k) => {
      const [i, j, c] = [Math.floor(k / 8), Math.floor(k / 4) % 2, k % 4];
      return dy[c * 6 + j * 3 + i]!;
    });
    const want = [0, 0, 0, 0, ...embeddingBackwardReference(plain, order, 5, 4)];
    for (const [i, value] of (await base.grad!.toArray()).entries()) expect(value).toBeCloseTo(want[i]!, 6);
  });

  it("takes no ids at all: the gradient is zero", async () => {
    const weight = Tensor.full(device, [3, 4], 1, { requiresGrad: true });
    const y = embedding(weight, Tensor.from(device, new Int32Array(0), [0, 2]));
    expect(y.shape).toEqual([0, 2, 4]);
    y.backward({ gradient: Tensor.zeros(device, [0, 2, 4]) });
    expect(await weight.grad!.toArray()).toEqual(new Float32Array(12));
  });

  it("marks ids outside the table with NaN and gives them no gradient", async () => {
    const weight = Tensor.full(device, [3, 4], 1, { requiresGrad: true });
    const y = embedding(weight, Tensor.from(device, Int32Array.of(3, -1, 2), [3]));
    expect(Array.from(await y.toArray(), Number.isNaN)).toEqual([
      ...new Array(8).fill(true),
      ...new Array(4).fill(false),
    ]);
    y.backward({ gradient: Tensor.full(device, [3, 4], 1) });
    expect(Array.from(await weight.grad!.toArray())).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
  });

  it("keeps f16 tables in f16", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    const weight = Tensor.from(device, Float32Array.of(0.5, 1, 2, 4, 8, 16), [3, 2], {
      dtype: "f16",
      requiresGrad: true,
    });
    const y = embedding(weight, Tensor.from(device, Int32Array.of(2, 0, 2), [3]));
    expect(Array.from(await y.toArray())).toEqual([8, 16, 0.5, 1, 8, 16]);
    y.backward({ gradient: Tensor.full(device, [3, 2], 1, { dtype: "f16" }) });
    expect(Array.from(await weight.grad!.toArray())).toEqual([1, 1, 0, 0, 2, 2]);
  });

  it("gives f16 from an f32 table, whose gradient is f32", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    const weight = Tensor.from(device, Float32Array.of(0.5, 1 / 3, 2, 4, 8, 16), [3, 2], {
      requiresGrad: true,
    });
    const y = embedding(weight, Tensor.from(device, Int32Array.of(2, 0, 2), [3]), { dtype: "f16" });
    expect(y.dtype).toBe("f16");
    expect(Array.from(await y.toArray())).toEqual([8, 16, 0.5, 0.333251953125, 8, 16]);
    y.backward({ gradient: Tensor.full(device, [3, 2], 1, { dtype: "f16" }) });
    expect(weight.grad!.dtype).toBe("f32");
    expect(Array.from(await weight.grad!.toArray())).toEqual([1, 1, 0, 0, 2, 2]);
  });

  it("refuses what it cannot look up, and says why", () => {
    const weight = Tensor.zeros(device, [3, 4]);
    const ids = Tensor.zeros(device, [2], "i32");
    expect(() => embedding(Tensor.zeros(device, [4]), ids)).toThrow(
      "embedding: weight must be [rows, width], got [4]",
    );
    expect(() => embedding(weight, Tensor.zeros(device, [2]))).toThrow(
      'embedding: ids is f32, expected i32 or u32. Convert it with .to("i32")',
    );
    expect(() => embedding(weight, ids, { paddingIdx: 3 })).toThrow(
      "embedding: paddingIdx 3 is outside the 3 rows",
    );
  });
});
