import { afterAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { testLadders } from "../../testing/ladders.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { numbers, openBoth, stepChoices } from "../rows/testing.js";
import { type CrossEntropyCase, cases, tolerance } from "./cases.js";
import { crossEntropy, nllLoss } from "./index.js";
import { entries } from "./lab.js";
import { crossEntropyBackwardLadder, crossEntropyLadder } from "./ladder.js";
import { crossEntropyReference } from "./reference.js";

const devices = await openBoth();
afterAll(() => {
  for (const { device } of devices) device.close();
});

testLadders(entries, devices);

async function check(device: Device, test: CrossEntropyCase): Promise<void> {
  const { shape, dtype = "f32", reduction = "mean", soft = false, nll = false, labelSmoothing = 0 } = test;
  const { ignoreIndex = -100 } = test;
  const classes = shape[1]!;
  const ids = [shape[0]!, ...shape.slice(2)];
  const rows = numel(ids);
  const data = numbers(numel(shape), 1, dtype, test.scale ?? 4);
  const weight = test.weighted ? numbers(classes, 3, dtype, 0.5, 1) : null;
  const labels = Int32Array.from({ length: rows }, (_, i) => {
    return test.ignoreIndex !== undefined && i % 3 === 1 ? ignoreIndex : (i * 7 + 3) % classes;
  });
  const target = soft ? numbers(data.length, 2, dtype, 0.5, 0.5) : labels;
  const inner = numel(shape.slice(2));
  const want = crossEntropyReference({
    logits: data,
    target,
    classes,
    inner,
    soft,
    weight,
    ignoreIndex,
    labelSmoothing,
    nll,
  });
  const logits = Tensor.from(device, data, shape, { dtype, requiresGrad: true });
  const dy = reduction === "none" ? numbers(rows, 4) : Float32Array.of(0.5);
  const y = scope(() => {
    const options = {
      weight: weight && Tensor.from(device, weight, [classes], { dtype }),
      ignoreIndex,
      reduction,
      labelSmoothing,
    };
    const of = soft ? Tensor.from(device, target, shape, { dtype }) : Tensor.from(device, labels, ids);
    const made = nll ? nllLoss(logits, of, options) : crossEntropy(logits, of, options);
    expect(made.dtype).toBe("f32");
    made.backward({ gradient: Tensor.from(device, dy, made.shape) });
    return made;
  });
  expect(y.shape).toEqual(reduction === "none" ? ids : []);
  const total = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
  const divisor = reduction === "mean" ? total(want.mass) : 1;
  const limit = tolerance(test);
  const losses = reduction === "none" ? want.losses : [total(want.losses) / divisor];
  const terms = reduction === "sum" ? Math.max(rows, 1) : 1;
  expectClose(await y.toArray(), losses, { ...limit, atol: limit.atol * terms }, "loss");
  const gradient = want.gradient(reduction === "none" ? dy : new Float64Array(rows).fill(dy[0]! / divisor));
  expectClose(await logits.grad!.toArray(), gradient, limit, "gradient");
  for (const tensor of [logits, y]) tensor.dispose();
}

for (const { name, device } of devices) {
  for (const choice of stepChoices(device, [crossEntropyLadder, crossEntropyBackwardLadder])) {
    describe(`${choice.name} with ${name}`, () => {
      it.skipIf(fixturesMissing)("computes PyTorch's values", async () => {
        choice.apply();
        try {
          await expectFixtures(device, "cross_entropy");
          await expectFixtures(device, "nll_loss");
        } finally {
          device.variants.clear();
        }
      });
      for (const test of cases) {
        const lacks = test.dtype === "f16" && !device.features.has("shader-f16");
        it.skipIf(lacks)(`${test.name} [${test.shape.join(", ")}]`, async () => {
          choice.apply();
          try {
            await check(device, test);
          } finally {
            device.variants.clear();
          }
        });
      }
    });
  }
}

describe("cross entropy", () => {
  const { device } = devices[0]!;
  const logits = (shape: readonly number[]) =>
    Tensor.from(device, numbers(numel(shape), 1), shape, { requiresGrad: true });
  const ids = (...values: number[]) => Tensor.from(device, Int32Array.from(values), [values.length]);

  it("is NaN as a mean over nothing, and for an id that no class has", async () => {
    expect(await crossEntropy(logits([2, 3]), ids(-100, -100)).item()).toBeNaN();
    expect(await crossEntropy(logits([2, 3]), ids(1, 3)).item()).toBeNaN();
    expect(await crossEntropy(logits([2, 3]), ids(1, -1)).item()).toBeNaN();
  });

  it("takes a single row without a batch", async () => {
    const x = Tensor.from(device, Float32Array.of(1, 2, 3), [3]);
    const y = crossEntropy(x, Tensor.from(device, Int32Array.of(2), []));
    expect(y.shape).toEqual([]);
    expect(await y.item()).toBeCloseTo(Math.log(1 + Math.exp(-1) + Math.exp(-2)), 6);
  });

  it("gives probabilities a gradient when they need one", async () => {
    const x = logits([4, 5]);
    const p = Tensor.from(device, numbers(20, 2, "f32", 0.5, 0.5), [4, 5], { requiresGrad: true });
    scope(() => crossEntropy(x, p, { reduction: "sum", labelSmoothing: 0.1 }).backward());
    const logp = await x.detach().logSoftmax(1).toArray();
    expectClose(
      await p.grad!.toArray(),
      Float64Array.from(logp, (v) => -0.9 * v),
      { rtol: 1e-5, atol: 1e-6 },
      "dp",
    );
    const fused = logits([4, 5]);
    scope(() => crossEntropy(fused, p.detach(), { reduction: "sum", labelSmoothing: 0.1 }).backward());
    expectClose(await x.grad!.toArray(), await fused.grad!.toArray(), { rtol: 1e-5, atol: 1e-6 }, "dx");
  });

  it("takes one dispatch for the loss of a small batch, two for that of a large one, and one for the gradient", () => {
    for (const [rows, forward] of [
      [16, 1],
      [300, 2],
    ] as const) {
      const x = logits([rows, 2]);
      const target = ids(...new Array<number>(rows).fill(1));
      scope(() => {
        const before = device.counters.dispatches;
        const y = crossEntropy(x, target);
        expect(device.counters.dispatches - before).toBe(forward);
        const seed = Tensor.from(device, Float32Array.of(1), []);
        y.backward({ gradient: seed });
        expect(device.counters.dispatches - before).toBe(forward + 1);
      });
    }
  });

  it("names operands that do not fit", () => {
    expect(() => crossEntropy(logits([4, 3]), ids(1, 2))).toThrow(
      /target \[2\] does not fit logits \[4, 3\]: class ids have the shape \[4\].*probabilities \(f32\) would be \[4, 3\]/,
    );
    expect(() => crossEntropy(logits([2, 3]), ids(1, 2), { weight: logits([2]) })).toThrow(
      /weight \[2\] must hold one number/,
    );
    expect(() => crossEntropy(logits([2, 3]), ids(1, 2), { labelSmoothing: 2 })).toThrow(
      /between 0 and 1, got 2/,
    );
    expect(() => nllLoss(logits([2, 3]), logits([2]))).toThrow(/nll_loss: the target \(class ids\) is f32/);
  });
});
