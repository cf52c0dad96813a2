import { afterAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { numbers, openBoth } from "../rows/testing.js";
import { binaryCrossEntropyWithLogits, mseLoss } from "./index.js";
import { bceReference } from "./reference.js";

const devices = await openBoth();
afterAll(() => {
  for (const { device } of devices) device.close();
});

for (const { name, device } of devices) {
  describe(`binary cross entropy with ${name}`, () => {
    for (const reduction of ["mean", "sum", "none"] as const) {
      it(`weighs elements and positives, ${reduction}, up to logits of 1e4`, async () => {
        const xs = numbers(35, 1, "f32", 8);
        xs.set([1e4, -1e4, 100, -100, 0, 20, -20]);
        const zs = numbers(35, 2, "f32", 0.5, 0.5);
        zs.set([1, 0, 0, 1, 1, 0, 1]);
        const positive = numbers(7, 3, "f32", 0.5, 2);
        const weights = numbers(35, 4, "f32", 0.5, 1);
        const x = Tensor.from(device, xs, [5, 7], { requiresGrad: true });
        const z = Tensor.from(device, zs, [5, 7], { requiresGrad: true });
        const y = scope(() => {
          const weight = Tensor.from(device, weights, [5, 7]);
          const posWeight = Tensor.from(device, positive, [7]);
          const made = binaryCrossEntropyWithLogits(x, z, { weight, posWeight, reduction });
          made.sum().backward();
          return made;
        });
        const want = Array.from(xs, (v, i) => bceReference(v, zs[i]!, positive[i % 7]!, weights[i]!));
        const scale = reduction === "mean" ? 1 / 35 : 1;
        const losses = want.map(({ loss }) => loss);
        const total = scale * losses.reduce((sum, value) => sum + value, 0);
        const limit = { rtol: 1e-5, atol: 2e-6 };
        expectClose(await y.toArray(), reduction === "none" ? losses : [total], limit, "loss");
        expectClose(
          await x.grad!.toArray(),
          want.map(({ dx }) => dx * scale),
          limit,
          "dx",
        );
        expectClose(
          await z.grad!.toArray(),
          want.map(({ dz }) => dz * scale),
          limit,
          "dz",
        );
      });
    }

    it("takes f16 where the device has it", async () => {
      if (!device.features.has("shader-f16")) return;
      const x = Tensor.from(device, Float32Array.of(0, 2, -2), [3], { dtype: "f16" });
      const z = Tensor.from(device, Float32Array.of(1, 0, 0), [3], { dtype: "f16" });
      const y = binaryCrossEntropyWithLogits(x, z, { reduction: "none" });
      const want = [0, 2, -2].map((v, i) => bceReference(v, i === 0 ? 1 : 0, 1, 1).loss);
      expect(y.dtype).toBe("f32");
      expectClose(await y.toArray(), want, { rtol: 1e-6, atol: 1e-6 }, "loss");
    });
  });

  it.skipIf(fixturesMissing)(`compute PyTorch's values with ${name}`, async () => {
    await expectFixtures(device, "bce_with_logits");
    await expectFixtures(device, "mse_loss");
  });

  describe(`squared error with ${name}`, () => {
    for (const reduction of ["mean", "sum", "none"] as const) {
      it(`has gradients of both operands, ${reduction}`, async () => {
        const [as, bs] = [numbers(33, 1), numbers(33, 2)];
        const a = Tensor.from(device, as, [3, 11], { requiresGrad: true });
        const b = Tensor.from(device, bs, [3, 11], { requiresGrad: true });
        const y = scope(() => {
          const made = mseLoss(a, b, { reduction });
          made.sum().backward();
          return made;
        });
        const squares = Array.from(as, (v, i) => (v - bs[i]!) ** 2);
        const scale = reduction === "mean" ? 1 / 33 : 1;
        const total = scale * squares.reduce((sum, value) => sum + value, 0);
        const limit = { rtol: 1e-5, atol: 1e-6 };
        expectClose(await y.toArray(), reduction === "none" ? squares : [total], limit, "loss");
        const da = Array.from(as, (v, i) => 2 * scale * (v - bs[i]!));
        expectClose(await a.grad!.toArray(), da, limit, "da");
        expectClose(
          await b.grad!.toArray(),
          da.map((v) => -v),
          limit,
          "db",
        );
      });
    }
  });
}

describe("losses", () => {
  const { device } = devices[0]!;

  it("name shapes that differ", () => {
    const [a, b] = [Tensor.zeros(device, [3]), Tensor.zeros(device, [3, 1])];
    expect(() => mseLoss(a, b)).toThrow(/mse_loss: input \[3\] and target \[3, 1\] must have one shape/);
    expect(() => binaryCrossEntropyWithLogits(a, b)).toThrow(
      /logits \[3\] and target \[3, 1\] must have one shape/,
    );
  });

  it("are f32 for f16 operands, whose gradients are f16", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    // The sum of squares, 80,000, is more than f16 holds; the gradient of each is not.
    const x = Tensor.full(device, [8], 100, { dtype: "f16", requiresGrad: true });
    const loss = scope(() => {
      const made = mseLoss(x, Tensor.zeros(device, [8], "f16"), { reduction: "sum" });
      made.backward();
      return made;
    });
    expect(loss.dtype).toBe("f32");
    expect(await loss.item()).toBe(80000);
    expect(x.grad!.dtype).toBe("f16");
    expect(Array.from(await x.grad!.toArray())).toEqual(new Array(8).fill(200));
    const bce = binaryCrossEntropyWithLogits(x.detach(), Tensor.zeros(device, [8], "f16"), {
      reduction: "sum",
    });
    expect(await bce.item()).toBe(800);
  });

  it("leave no tensor behind but the result", () => {
    const x = Tensor.from(device, numbers(4, 1), [4]);
    const before = device.liveTensors;
    const y = binaryCrossEntropyWithLogits(x, x);
    const z = mseLoss(x, x);
    expect(device.liveTensors).toBe(before + 2);
    for (const tensor of [y, z]) tensor.dispose();
  });
});
