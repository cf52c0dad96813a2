import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { gatherReference, scatterAddReference } from "./reference.js";

const whole = (count: number, step = 5) =>
  Float32Array.from({ length: count }, (_, i) => ((i * step) % 13) - 6);

const cases = [
  { name: "rows", shape: [4, 5], index: [4, 3], dim: 1 },
  { name: "columns", shape: [4, 5], index: [6, 5], dim: 0 },
  { name: "an index smaller than x elsewhere", shape: [4, 5], index: [2, 9], dim: 1 },
  { name: "one dimension", shape: [7], index: [9], dim: 0 },
  { name: "five dimensions", shape: [2, 3, 4, 2, 3], index: [2, 2, 6, 1, 3], dim: 2 },
  { name: "0-d", shape: [], index: [], dim: 0 },
  { name: "an empty index", shape: [4, 5], index: [4, 0], dim: 1 },
];

describe("indexing", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());

  describe.each(cases)("$name: x $shape, index $index, dim $dim", ({ shape, index: indexShape, dim }) => {
    const data = whole(numel(shape));
    const limit = shape[dim] ?? 1;
    const places = Int32Array.from({ length: numel(indexShape) }, (_, i) => (i * i + 1) % limit);
    const source = whole(places.length, 4);

    it("gather and its gradient", async () => {
      const x = Tensor.from(device, data, shape, { requiresGrad: true });
      const y = x.gather(dim, Tensor.from(device, places, indexShape));
      expect(y.shape).toEqual(indexShape);
      expect(await list(y)).toEqual(gatherReference(data, shape, dim, places, indexShape));
      y.backward({ gradient: Tensor.from(device, source, indexShape) });
      const zeros = new Float32Array(data.length);
      expect(await list(x.grad!)).toEqual(scatterAddReference(zeros, shape, dim, places, indexShape, source));
    });

    it("scatterAdd and its gradients", async () => {
      const x = Tensor.from(device, data, shape, { requiresGrad: true });
      // One row more than the index reaches: it is not used and gets no gradient.
      const larger = indexShape.map((size, d) => (d === dim && size > 0 ? size + 1 : size));
      const all = whole(numel(larger), 4);
      const src = Tensor.from(device, all, larger, { requiresGrad: true });
      const used = await list(src.slice(indexShape.map((size) => [0, size] as const)));
      const y = x.scatterAdd(dim, Tensor.from(device, places, indexShape, { dtype: "u32" }), src);
      expect(await list(y)).toEqual(scatterAddReference(data, shape, dim, places, indexShape, used));
      const dy = whole(data.length, 7);
      y.backward({ gradient: Tensor.from(device, dy, shape) });
      expect(await list(x.grad!)).toEqual(Array.from(dy));
      const wanted = gatherReference(dy, shape, dim, places, indexShape);
      const got = src.grad!.slice(indexShape.map((size) => [0, size] as const));
      expect(await list(got)).toEqual(wanted);
      const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
      expect(sum(await list(src.grad!))).toBe(sum(wanted));
    });
  });

  it("indexSelect takes rows, columns and middles, and adds the gradients of repeated ones", async () => {
    const data = whole(24);
    for (const dim of [0, 1, -1]) {
      const x = Tensor.from(device, data, [2, 3, 4], { requiresGrad: true });
      const numbers = [1, 0, 1, 1];
      const y = x.indexSelect(dim, Tensor.from(device, Int32Array.from(numbers), [4]));
      const parts = numbers.map((k) => x.detach().narrow(dim, k, 1));
      const at = dim < 0 ? dim + 3 : dim;
      expect(y.shape).toEqual([2, 3, 4].map((size, d) => (d === at ? 4 : size)));
      for (const [k, part] of parts.entries())
        expect(await list(y.narrow(dim, k, 1))).toEqual(await list(part));
      y.sum().backward();
      const first = await list(x.grad!.narrow(dim, 0, 1));
      const second = await list(x.grad!.narrow(dim, 1, 1));
      expect(new Set(first)).toEqual(new Set([1]));
      expect(new Set(second)).toEqual(new Set([3]));
    }
  });

  it("reads strided tensors and writes none of its inputs", async () => {
    const data = whole(12);
    const base = Tensor.from(device, data, [3, 4]);
    const x = base.transpose(0, 1);
    const index = Tensor.from(device, Int32Array.of(2, 0, 1, 1, 2, 0, 0, 2), [2, 4]).transpose(0, 1);
    const [plainX, plainIndex] = [await list(x), await list(index)];
    expect(await list(x.gather(1, index))).toEqual(gatherReference(plainX, [4, 3], 1, plainIndex, [4, 2]));
    const src = Tensor.full(device, [1], 2).expand([4, 2]);
    const sums = await list(x.scatterAdd(1, index, src));
    expect(sums).toEqual(scatterAddReference(plainX, [4, 3], 1, plainIndex, [4, 2], new Array(8).fill(2)));
    expect(await list(base)).toEqual(Array.from(data));
  });

  it("takes integers, and f16 with sums in f32", async ({ skip }) => {
    const x = Tensor.from(device, Int32Array.of(2 ** 30, 7), [2]);
    const index = Tensor.from(device, Int32Array.of(1, 1, 0), [3]);
    expect(await list(x.gather(0, index))).toEqual([7, 7, 2 ** 30]);
    expect(await list(x.scatterAdd(0, index, Tensor.full(device, [3], 5, { dtype: "i32" })))).toEqual([
      2 ** 30 + 5,
      17,
    ]);
    if (!device.features.has("shader-f16")) skip();
    const half = Tensor.zeros(device, [1], "f16");
    const many = Tensor.full(device, [3000], 1, { dtype: "f16" });
    // In f16 itself the sum would stop at 2048.
    expect(await list(half.scatterAdd(0, Tensor.zeros(device, [3000], "i32"), many))).toEqual([3000]);
  });

  it("marks indices outside the dimension with NaN and adds nothing there", async () => {
    const x = Tensor.full(device, [3], 1, { requiresGrad: true });
    const index = Tensor.from(device, Int32Array.of(3, -1, 2), [3]);
    expect(await list(x.gather(0, index))).toEqual([Number.NaN, Number.NaN, 1]);
    expect(await list(x.indexSelect(0, index))).toEqual([Number.NaN, Number.NaN, 1]);
    expect(await list(x.scatterAdd(0, index, Tensor.full(device, [3], 5)))).toEqual([1, 1, 6]);
  });

  it("refuses indices and sources that do not fit, with the shapes", () => {
    const x = Tensor.zeros(device, [3, 4]);
    const index = (shape: number[]) => Tensor.zeros(device, shape, "i32");
    expect(() => x.gather(1, index([4, 4]))).toThrow(
      "gather: index [4, 4] must have the dimensions of [3, 4] and be no larger outside dimension 1",
    );
    expect(() => x.gather(0, index([2]))).toThrow("gather: index [2]");
    expect(() => x.gather(0, Tensor.zeros(device, [1, 1]))).toThrow(
      "gather: the index is f32, expected i32 or u32",
    );
    expect(() => x.scatterAdd(0, index([5, 4]), Tensor.zeros(device, [4, 4]))).toThrow(
      "scatter_add: index [5, 4] must not be larger than src [4, 4]",
    );
    expect(() => x.scatterAdd(0, index([1, 4]), index([1, 4]))).toThrow("scatter_add: src is i32, x is f32");
    expect(() => x.indexSelect(0, index([1, 2]))).toThrow(
      "index_select: index must have one dimension, got [1, 2]",
    );
  });
});
