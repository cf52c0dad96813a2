import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import type { Dtype, TypedArray } from "../../dtype.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { argmax, cumsum, max, norm, normalize, prod, std, variance } from "./index.js";
import { cumsumReference, extremeReference, prodBackwardReference, prodReference } from "./reference.js";

/** Small whole numbers with many ties: sums and products of them are exact. */
const whole = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7 + ((i * i) % 11)) % 9) - 4);

const shapes: { name: string; shape: number[]; dim: number }[] = [
  { name: "0-d", shape: [], dim: 0 },
  { name: "one element", shape: [1], dim: 0 },
  { name: "last of two", shape: [3, 5], dim: 1 },
  { name: "first of two", shape: [3, 5], dim: 0 },
  { name: "middle of five", shape: [2, 3, 4, 2, 3], dim: 2 },
  { name: "long line, cut into parts", shape: [2, 5000], dim: 1 },
  { name: "long column, cut into parts", shape: [3000, 3], dim: 0 },
  { name: "no lines", shape: [0, 4], dim: 1 },
];

describe("reductions along one dimension", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());

  describe.each(shapes)("$name $shape, dim $dim", ({ shape, dim }) => {
    const data = whole(numel(shape));
    const kept = shape.filter((_, d) => d !== dim);

    it.each(["max", "min"] as const)(
      "%s: values and the first of equal places, and the gradient there",
      async (which) => {
        const x = Tensor.from(device, data, shape, { requiresGrad: true });
        const { values, indices } = x[which](dim);
        const want = extremeReference(data, shape, dim, which);
        expect(values.shape).toEqual(kept);
        expect(await list(values)).toEqual(want.values);
        expect(await list(indices)).toEqual(want.indices);
        expect(indices.dtype).toBe("i32");
        expect(await list(which === "max" ? x.argmax(dim) : x.argmin(dim))).toEqual(want.indices);
        values.sum().backward();
        const gradient = await list(x.grad!);
        expect(gradient.reduce((sum, g) => sum + g, 0)).toBe(want.values.length);
        expect(gradient.every((g) => g === 0 || g === 1)).toBe(true);
      },
    );

    it("cumsum and its gradient, which runs backwards", async () => {
      const x = Tensor.from(device, data, shape, { requiresGrad: true });
      const y = cumsum(x, dim);
      expect(await list(y)).toEqual(cumsumReference(data, shape, dim));
      const dy = whole(data.length).reverse();
      y.backward({ gradient: Tensor.from(device, dy, shape) });
      expect(await list(x.grad!)).toEqual(cumsumReference(dy, shape, dim, true));
    });

    it("prod and its gradient, with zeros", async () => {
      // Mostly ones, so that long products stay exact.
      const few = data.map((value, i) => (i % 50 === 3 ? Math.sign(value) || 2 : 1));
      if (few.length > 2) few[2] = 0;
      const x = Tensor.from(device, few, shape, { requiresGrad: true });
      const y = prod(x, dim, true);
      expect(y.shape).toEqual(shape.map((size, d) => (d === dim ? 1 : size)));
      expect((await list(y)).map((v) => v + 0)).toEqual(prodReference(few, shape, dim).map((v) => v + 0));
      const dy = whole(y.numel);
      y.backward({ gradient: Tensor.from(device, dy, y.shape) });
      if (few.length > 2000) return;
      expect((await list(x.grad!)).map((v) => v + 0)).toEqual(
        prodBackwardReference(few, shape, dim, dy).map((v) => v + 0),
      );
    });
  });

  it("read views with any strides", async () => {
    const data = whole(24);
    const x = Tensor.from(device, data, [2, 3, 4])
      .transpose(0, 2)
      .slice([
        [1, 4],
        [null, null],
        [null, null],
      ]);
    const plain = await list(x);
    expect(await list(x.max(1).values)).toEqual(extremeReference(plain, [3, 3, 2], 1, "max").values);
    expect(await list(cumsum(x, 0))).toEqual(cumsumReference(plain, [3, 3, 2], 0));
    expect(await list(prod(x, 2))).toEqual(prodReference(plain, [3, 3, 2], 2));
  });

  it.each<[Dtype, TypedArray]>([
    ["i32", Int32Array.of(-5, 3, 2 ** 30, -(2 ** 31))],
    ["u32", Uint32Array.of(4e9, 3, 5, 0)],
    ["bool", Uint8Array.of(0, 1, 1, 0)],
  ])("take %s", async (dtype, data) => {
    const values = Array.from(data);
    const x = Tensor.from(device, data, [4], { dtype });
    const most = x.max(0);
    expect(await list(most.values)).toEqual([Math.max(...values)]);
    expect(await list(most.indices)).toEqual([values.indexOf(Math.max(...values))]);
    expect(await list(x.argmin())).toEqual([values.indexOf(Math.min(...values))]);
  });

  it("let NaN win, the first one, and take infinities", async () => {
    const x = Tensor.from(
      device,
      Float32Array.of(1, Number.NaN, 5, Number.NaN, -Infinity, 2, Infinity, 0),
      [2, 4],
    );
    expect(await list(x.max(1).values)).toEqual([Number.NaN, Infinity]);
    expect(await list(x.max(1).indices)).toEqual([1, 2]);
    expect(await list(x.min(1).indices)).toEqual([1, 0]);
    const lowest = Tensor.full(device, [3], Number.NEGATIVE_INFINITY);
    expect(await list(lowest.max(0).indices)).toEqual([0]);
  });

  it("refuse an empty line, and a dimension that is not there", () => {
    const x = Tensor.zeros(device, [2, 0]);
    expect(() => x.max(1)).toThrow(
      "max: dimension 1, which is empty, has no largest or smallest element (shape [2, 0])",
    );
    expect(() => x.min()).toThrow("min: a tensor without elements");
    expect(() => argmax(x)).toThrow("argmax: a tensor without elements");
    expect(() => x.max(2)).toThrow("max: dim 2 is out of range for 2 dimensions (expected -2 to 1)");
    expect(() => cumsum(x, -3)).toThrow("cumsum: dim -3 is out of range");
  });

  it("give 1 and 0 for empty lines where that has a meaning", async () => {
    const x = Tensor.zeros(device, [2, 0]).requiresGrad_();
    const y = prod(x, 1);
    expect(await list(y)).toEqual([1, 1]);
    y.sum().backward();
    expect(x.grad!.shape).toEqual([2, 0]);
    expect(cumsum(x, 1).shape).toEqual([2, 0]);
  });
});

describe("reductions of all elements", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  it("share the gradient of max among equal elements", async () => {
    const x = Tensor.from(device, Float32Array.of(3, 1, 3, 0, 3, 2), [2, 3], { requiresGrad: true });
    const y = max(x);
    expect(y.shape).toEqual([]);
    y.mul(6).backward();
    expect(Array.from(await x.grad!.toArray())).toEqual([2, 0, 2, 0, 2, 0]);
  });

  it("count the place of argmax in the flattened tensor", async () => {
    const data = whole(9000);
    data[7777] = 100;
    const x = Tensor.from(device, data, [90, 100]);
    expect(await x.argmax().item()).toBe(7777);
    expect(x.argmax(null, true).shape).toEqual([1, 1]);
  });

  it("multiply many elements in two steps", async () => {
    const data = new Float32Array(5000).fill(1);
    data[17] = 3;
    data[4999] = -2;
    const x = Tensor.from(device, data, [50, 100], { requiresGrad: true });
    const y = prod(x);
    expect(await y.item()).toBe(-6);
    y.backward();
    const gradient = await x.grad!.toArray();
    expect([gradient[0], gradient[17], gradient[4999]]).toEqual([-6, -2, 3]);
  });
});

describe("variance and norms", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());

  it("keep their accuracy under a large mean, forward and backward", async () => {
    const data = Float32Array.of(10000, 10001, 10002, 10003);
    const x = Tensor.from(device, data, [4], { requiresGrad: true });
    const y = variance(x);
    expect(await y.item()).toBeCloseTo(5 / 3, 6);
    y.backward();
    const want = [-1, -1 / 3, 1 / 3, 1];
    for (const [i, g] of (await list(x.grad!)).entries()) expect(g).toBeCloseTo(want[i]!, 6);
  });

  it("have no NaN gradient where the deviation or the norm is 0", async () => {
    const x = Tensor.from(device, Float32Array.of(0, 0, 3, 4), [2, 2], { requiresGrad: true });
    norm(x, 1).sum().backward();
    expect(await list(x.grad!)).toEqual([0, 0, 0.6000000238418579, 0.800000011920929]);
    const same = Tensor.full(device, [3], 2, { requiresGrad: true });
    std(same).backward();
    expect(await list(same.grad!)).toEqual([0, 0, 0]);
    const zero = Tensor.zeros(device, [1, 3]).requiresGrad_();
    const unit = normalize(zero);
    unit.sum().backward();
    expect(await list(unit)).toEqual([0, 0, 0]);
    // x / eps: finite, and large.
    for (const g of await list(zero.grad!)) expect(g / 1e12).toBeCloseTo(1, 5);
  });

  it("are NaN where PyTorch's are: one element, correction 1", async () => {
    expect(await variance(Tensor.full(device, [1], 3)).item()).toBeNaN();
    expect(await variance(Tensor.full(device, [1], 3), null, { correction: 0 }).item()).toBe(0);
  });

  it("go over several dimensions, keep them if asked, and take p = 1", async () => {
    const x = Tensor.from(device, whole(24), [2, 3, 4]);
    expect(x.var([0, 2], { keepdim: true }).shape).toEqual([1, 3, 1]);
    expect(x.std([-1]).shape).toEqual([2, 3]);
    const l1 = whole(24).reduce((sum, v) => sum + Math.abs(v), 0);
    expect(await x.norm(null, { p: 1 }).item()).toBe(l1);
  });

  it("refuse what they do not do", () => {
    const x = Tensor.zeros(device, [2, 2]);
    expect(() => x.norm(0, { p: 3 })).toThrow("norm: p = 3 is not supported; use 1 or 2");
    expect(() => x.to("i32").var()).toThrow(
      'var: the input is i32, expected f32 or f16. Convert it with .to("f32")',
    );
    expect(() => x.std([0, 0])).toThrow("std: a dim appears twice");
  });
});
