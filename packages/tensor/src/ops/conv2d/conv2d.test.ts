import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { conv2dCases } from "./cases.js";
import { conv2d } from "./index.js";
import { conv2dBackwardReference, conv2dReference, outSizeOf } from "./reference.js";

/** Numbers in [-1, 1), the same in every run. */
const values = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233)));

/** For sums of up to some thousand products of numbers below 1. */
const tolerance = { rtol: 2e-5, atol: 1e-5 };

describe.each(["adapter", "default"] as const)("conv2d, limits of the %s", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(limits === "default" ? { limits, features: [] } : { limits });
  });
  afterAll(() => device.close());

  describe.each(["", "1-direct"])("variant %s", (variant) => {
    beforeAll(() => {
      if (variant) device.variants.set("conv2d", variant);
    });
    afterAll(() => {
      device.variants.delete("conv2d");
    });

    it.each(conv2dCases)("equals the reference: $note", async (c) => {
      const [x, w, b] = [values(numel(c.x), 1), values(numel(c.weight), 2), values(c.weight[0], 3)];
      const leaf = (data: Float32Array, shape: readonly number[]) =>
        Tensor.from(device, data, shape, { requiresGrad: true });
      const [tx, tw, tb] = [leaf(x, c.x), leaf(w, c.weight), leaf(b, [c.weight[0]])];
      const y = conv2d(tx, tw, tb, c);
      expect(y.shape).toEqual([c.x[0], c.weight[0], ...outSizeOf(c)]);
      expectClose(await y.toArray(), conv2dReference(c, x, w, b), tolerance, "y");
      const dy = values(y.numel, 4);
      y.backward({ gradient: Tensor.from(device, dy, y.shape) });
      const want = conv2dBackwardReference(c, x, w, dy);
      expectClose(await tx.grad!.toArray(), want.x, tolerance, "dx");
      expectClose(await tw.grad!.toArray(), want.weight, tolerance, "dw");
      expectClose(await tb.grad!.toArray(), want.bias, tolerance, "db");
      for (const tensor of [tx, tw, tb, y]) tensor.dispose();
    });

    it.skipIf(fixturesMissing)("agrees with PyTorch", () => expectFixtures(device, "conv2d"));
  });

  it("takes strided inputs and a strided gradient", async () => {
    const c = conv2dCases[1]!;
    const [x, w] = [values(numel(c.x), 1), values(numel(c.weight), 2)];
    const turned = Tensor.from(device, x, c.x).permute([2, 3, 0, 1]).contiguous().permute([2, 3, 0, 1]);
    const tw = Tensor.from(device, w, c.weight, { requiresGrad: true });
    const y = conv2d(turned, tw, null, c);
    expectClose(await y.toArray(), conv2dReference(c, x, w), tolerance, "y");
    y.sum().backward();
    const want = conv2dBackwardReference(c, x, w, new Float32Array(y.numel).fill(1));
    expectClose(await tw.grad!.toArray(), want.weight, tolerance, "dw");
  });

  it("computes in f16 with sums in f32", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    for (const c of [conv2dCases[0]!, conv2dCases[1]!]) {
      const half = (count: number) => values(count, 1).map((v) => Math.round(v * 64) / 64);
      const [x, w] = [half(numel(c.x)), half(numel(c.weight))];
      const tx = Tensor.from(device, x, c.x, { dtype: "f16", requiresGrad: true });
      const tw = Tensor.from(device, w, c.weight, { dtype: "f16", requiresGrad: true });
      const y = conv2d(tx, tw, null, c);
      const loose = { rtol: 2 ** -10, atol: 2 ** -10 };
      expectClose(await y.toArray(), conv2dReference(c, x, w), loose, "y");
      y.sum().backward();
      const want = conv2dBackwardReference(c, x, w, new Float32Array(y.numel).fill(1));
      expectClose(await tx.grad!.toArray(), want.x, loose, "dx");
      expectClose(await tw.grad!.toArray(), want.weight, loose, "dw");
    }
  });

  it("cuts a picture into patches with two dispatches: a copy and a product", () => {
    scope(() => {
      const [x, w] = [Tensor.zeros(device, [1, 3, 32, 32]), Tensor.zeros(device, [48, 3, 8, 8])];
      const before = device.counters.dispatches;
      conv2d(x, w, null, { stride: 8 });
      expect(device.counters.dispatches - before).toBe(2);
    });
  });

  it("frees what it made", () => {
    const before = device.memory().liveTensors;
    scope(() => {
      const x = Tensor.full(device, [1, 2, 6, 6], 1);
      const w = Tensor.full(device, [2, 2, 3, 3], 1, { requiresGrad: true });
      conv2d(x, w, null, { padding: 1 }).sum().backward();
    });
    expect(device.memory().liveTensors).toBe(before);
  });

  it("says which shapes do not fit", () => {
    scope(() => {
      const make = (shape: number[]) => Tensor.zeros(device, shape);
      const x = make([1, 4, 5, 5]);
      expect(() => conv2d(x, make([2, 3, 3, 3]))).toThrow(/weight.shape\[1\] must be 4/);
      expect(() => conv2d(x, make([2, 4, 7, 3]))).toThrow(
        /covers \[7, 3\] but the padded picture is only \[5, 5\]/,
      );
      expect(() => conv2d(x, make([3, 2, 1, 1]), null, { groups: 2 })).toThrow(/groups 2 does not divide/);
      expect(() => conv2d(x, make([2, 4, 1, 1]), make([3]))).toThrow(/bias \[3\] must be \[2\]/);
      expect(() => conv2d(make([4, 5, 5]), make([2, 4, 1, 1]))).toThrow(/unsqueeze\(0\)/);
      expect(() => conv2d(x, make([2, 4, 1, 1]), null, { stride: 0 })).toThrow(/stride is \[0, 0\]/);
    });
  });
});
