import { afterAll, describe, expect, it } from "vitest";
import { gradcheck } from "../../autograd/gradcheck.js";
import { noGrad, scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { Generator } from "../../random/generator.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { testLadders } from "../../testing/ladders.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { addLayerNorm } from "../add-layer-norm/index.js";
import { dropout } from "../dropout/index.js";
import { numbers, openBoth, stepChoices } from "../rows/testing.js";
import { cases, type LayerNormCase, tolerance } from "./cases.js";
import { layerNorm } from "./index.js";
import { entries } from "./lab.js";
import { layerNormBackwardLadder, layerNormColumnsLadder, layerNormLadder } from "./ladder.js";
import { layerNormReference } from "./reference.js";

const devices = await openBoth();
afterAll(() => {
  for (const { device } of devices) device.close();
});

testLadders(entries, devices);

/** Runs a case as `layerNorm(x)`, or as `addLayerNorm(a, b)` with a + b = x exactly. */
async function check(device: Device, test: LayerNormCase, summed: boolean): Promise<void> {
  const { shape, normalizedShape, dtype = "f32", affine = "both", eps = 1e-5 } = test;
  const affineDtype = test.affineDtype ?? dtype;
  const length = numel(normalizedShape);
  const x = numbers(numel(shape), 1, dtype, test.scale ?? 1, test.mean ?? 0);
  const dy = numbers(x.length, 2, dtype);
  const weight = affine === "both" || affine === "weight" ? numbers(length, 3, affineDtype, 0.5, 1) : null;
  const bias = affine === "both" || affine === "bias" ? numbers(length, 4, affineDtype) : null;
  const leaf = (data: Float32Array | null, of: readonly number[], type = dtype) =>
    data && Tensor.from(device, data, of, { dtype: type, requiresGrad: true });
  const whole = leaf(summed ? x.map((v) => v / 2) : x, shape)!;
  const rest = summed
    ? leaf(
        x.map((v) => v / 2),
        shape,
      )
    : null;
  const w = leaf(weight, normalizedShape, affineDtype);
  const b = leaf(bias, normalizedShape, affineDtype);
  const y = scope(() => {
    const made = rest ? addLayerNorm(whole, rest, w, b, eps) : layerNorm(whole, normalizedShape, w, b, eps);
    made.backward({ gradient: Tensor.from(device, dy, shape, { dtype }) });
    return made;
  });
  expect(y.shape).toEqual(shape);
  expect(y.dtype).toBe(dtype);
  const want = layerNormReference(x, dy, weight, bias, length, eps);
  const limit = tolerance(test);
  const spread = Math.min(Math.max(test.scale ?? 1, Math.sqrt(eps)), 1);
  const ofColumns = {
    rtol: limit.rtol,
    atol: limit.atol * Math.max(1, Math.sqrt(x.length / Math.max(length, 1))),
  };
  expectClose(await y.toArray(), want.y, limit, "y");
  const gradientLimit = { rtol: limit.rtol, atol: (2 * limit.atol) / spread };
  expectClose(await whole.grad!.toArray(), want.dx, gradientLimit, "dx");
  if (rest) expectClose(await rest.grad!.toArray(), want.dx, gradientLimit, "dresidual");
  if (w) expectClose(await w.grad!.toArray(), want.dweight, ofColumns, "dweight");
  if (b) expectClose(await b.grad!.toArray(), want.dbias, ofColumns, "dbias");
  for (const tensor of [whole, rest, w, b, y]) tensor?.dispose();
}

for (const { name, device } of devices) {
  for (const choice of stepChoices(device, [
    layerNormLadder,
    layerNormBackwardLadder,
    layerNormColumnsLadder,
  ])) {
    describe(`${choice.name} with ${name}`, () => {
      it.skipIf(fixturesMissing)("computes PyTorch's values", async () => {
        choice.apply();
        try {
          await expectFixtures(device, "layer_norm");
        } finally {
          device.variants.clear();
        }
      });
      for (const test of cases) {
        const lacks = test.dtype === "f16" && !device.features.has("shader-f16");
        it.skipIf(lacks)(`${test.name} [${test.shape.join(", ")}]`, async () => {
          choice.apply();
          try {
            await check(device, test, false);
            if (test.normalizedShape.length === 1) await check(device, test, true);
          } finally {
            device.variants.clear();
          }
        });
      }
    });
  }
}

for (const { name, device } of devices) {
  describe(`dropout, then the residual, then layer norm, with ${name}`, () => {
    for (const { shape, dtype, offset } of [
      { shape: [70, 384], dtype: "f32", offset: 0 },
      { shape: [5, 7], dtype: "f32", offset: 0 },
      { shape: [3, 333], dtype: "f32", offset: 1 },
      { shape: [9, 128], dtype: "f16", offset: 0 },
    ] as const) {
      const lacks = dtype === "f16" && !device.features.has("shader-f16");
      it.skipIf(lacks)(`is the three in one for [${shape.join(", ")}] ${dtype}`, async () => {
        const length = shape[1];
        const count = shape[0] * length;
        for (const choice of stepChoices(device, [layerNormLadder, layerNormBackwardLadder])) {
          const run = async (fused: boolean) => {
            const leaf = (seed: number, of: readonly number[], type: "f32" | "f16") =>
              Tensor.from(device, numbers(numel(of), seed, type), of, { dtype: type, requiresGrad: true });
            const whole = leaf(1, [shape[0] + offset, length], dtype);
            const [residual, w, b] = [
              leaf(2, shape, dtype),
              leaf(3, [length], "f32"),
              leaf(4, [length], "f32"),
            ];
            const y = scope(() => {
              const x = whole.narrow(0, offset, shape[0]);
              const generator = new Generator(11);
              const made = fused
                ? addLayerNorm(x, residual, w, b, 1e-5, { dropoutP: 0.3, generator })
                : layerNorm(dropout(x, 0.3, true, generator).add(residual), [length], w, b);
              made.backward({ gradient: Tensor.from(device, numbers(count, 5, dtype), shape, { dtype }) });
              return made;
            });
            const read = [y, ...[whole, residual, w, b].map((tensor) => tensor.grad!)];
            const values = [];
            for (const tensor of read) values.push(await tensor.toArray());
            for (const tensor of [y, whole, residual, w, b]) tensor.dispose();
            return values;
          };
          choice.apply();
          try {
            const want = await run(false);
            const limit = dtype === "f16" ? { rtol: 2 ** -9, atol: 2 ** -7 } : { rtol: 1e-5, atol: 2e-5 };
            for (const [i, got] of (await run(true)).entries()) {
              expectClose(
                got,
                want[i]!,
                limit,
                `${choice.name}: ${["y", "dx", "dresidual", "dweight", "dbias"][i]}`,
              );
            }
          } finally {
            device.variants.clear();
          }
        }
      });
    }

    it("passes gradcheck", async () => {
      const leaf = (seed: number, of: readonly number[]) =>
        Tensor.from(device, numbers(numel(of), seed), of, { requiresGrad: true });
      const inputs = [leaf(1, [3, 8]), leaf(2, [3, 8]), leaf(3, [8]), leaf(4, [8])];
      const fn = (x: Tensor, r: Tensor, w: Tensor, b: Tensor) =>
        addLayerNorm(x, r, w, b, 1e-5, { dropoutP: 0.4, generator: new Generator(3) });
      expect(await gradcheck(fn as (...of: Tensor[]) => Tensor, inputs, { eps: 5e-3 })).toBe(true);
    });
  });
}

describe("layer norm", () => {
  const { device } = devices[0]!;

  it("sums gradients of weight and bias in the same order in every run", async () => {
    const x = Tensor.from(device, numbers(300 * 96, 5), [300, 96]);
    const once = async () => {
      const w = Tensor.from(device, numbers(96, 6), [96], { requiresGrad: true });
      const b = Tensor.from(device, numbers(96, 7), [96], { requiresGrad: true });
      scope(() => layerNorm(x, [96], w, b).square().sum().backward());
      return [await w.grad!.toArray(), await b.grad!.toArray()];
    };
    expect(await once()).toEqual(await once());
  });

  it("adds to its input's gradient what that got beside the norm, in the same dispatch", async () => {
    for (const shape of [
      [6, 16],
      [5, 7],
    ]) {
      const length = shape[1]!;
      const count = numel(shape);
      const leaf = (seed: number, of: readonly number[]) =>
        Tensor.from(device, numbers(numel(of), seed), of, { requiresGrad: true });
      const [a, w, b] = [leaf(1, shape), leaf(3, [length]), leaf(4, [length])];
      const dy = Tensor.from(device, numbers(count, 2), shape);
      const dispatches = device.counters.dispatches;
      scope(() => {
        const x = a.mul(1);
        x.add(layerNorm(x, [length], w, b)).backward({ gradient: dy });
      });
      // Two products and a norm forward; backward the norm's two, the product's, and three copies into .grad.
      expect(device.counters.dispatches - dispatches).toBeLessThanOrEqual(9);
      const x = numbers(count, 1);
      const weight = numbers(length, 3);
      const { dx } = layerNormReference(x, numbers(count, 2), weight, null, length, 1e-5);
      const want = dx.map((value, i) => value + numbers(count, 2)[i]!);
      expectClose(await a.grad!.toArray(), want, { rtol: 1e-5, atol: 2e-5 }, "dx");
    }
  });

  it("takes one dispatch forward and two backward, also of a sum and with dropout", () => {
    const leaf = (count: number, shape: number[]) =>
      Tensor.from(device, numbers(count, 1), shape, { requiresGrad: true });
    const [x, residual, w, b] = [leaf(64, [4, 16]), leaf(64, [4, 16]), leaf(16, [16]), leaf(16, [16])];
    const dy = Tensor.from(device, numbers(64, 3), [4, 16]);
    for (const dropoutP of [0, 0.5]) {
      scope(() => {
        const before = device.counters.dispatches;
        const y = addLayerNorm(x, residual, w, b, 1e-5, { dropoutP });
        expect(device.counters.dispatches - before).toBe(1);
        y.backward({ gradient: dy });
        // The gradient of x is that of the residual without dropout, and each leaf gets its own.
        expect(device.counters.dispatches - before).toBeLessThanOrEqual(dropoutP > 0 ? 3 : 5);
      });
      for (const tensor of [x, residual, w, b]) {
        expect(tensor.grad).not.toBeNull();
        tensor.grad!.dispose();
        tensor.grad = null;
      }
    }
  });

  it("stores no sum where nothing is recorded", () => {
    const x = Tensor.from(device, numbers(64 * 1024, 1), [64, 1024]);
    device.pool.resetPeak();
    const before = device.memory().liveBytes;
    const y = noGrad(() => addLayerNorm(x, x));
    // The result, and two numbers a row.
    expect(device.memory().peakLiveBytes - before).toBeLessThan(1.1 * x.numel * 4);
    y.dispose();
  });

  it("names shapes that do not fit", () => {
    const x = Tensor.from(device, numbers(12, 1), [3, 4]);
    expect(() => layerNorm(x, [3])).toThrow(
      /layer_norm: x \[3, 4\] does not end in the normalized shape \[3\]/,
    );
    expect(() => layerNorm(x, [2, 3, 4])).toThrow(/does not end in/);
    expect(() => layerNorm(x, [4], Tensor.zeros(device, [3]))).toThrow(
      /weight \[3\] must have the normalized shape \[4\]/,
    );
    expect(() => addLayerNorm(x, Tensor.zeros(device, [4]))).toThrow(/must have one shape/);
  });
});
