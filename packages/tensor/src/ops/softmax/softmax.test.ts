import { afterAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { testLadders } from "../../testing/ladders.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { numbers, openBoth, stepChoices } from "../rows/testing.js";
import { cases, type SoftmaxCase, tolerance } from "./cases.js";
import { logSoftmax, softmax } from "./index.js";
import { entries } from "./lab.js";
import { softmaxBackwardLadder, softmaxLadder } from "./ladder.js";
import { softmaxGradientReference, softmaxReference } from "./reference.js";

const devices = await openBoth();
afterAll(() => {
  for (const { device } of devices) device.close();
});

testLadders(entries, devices);

function logits(test: SoftmaxCase): Float32Array {
  const x = numbers(numel(test.shape), 1, test.dtype, test.scale ?? 4);
  const length = test.shape.at(-1) ?? 1;
  if (test.masked) for (let i = 0; i < x.length; i += 3) x[i] = Number.NEGATIVE_INFINITY;
  if (test.masked === "row") x.fill(Number.NEGATIVE_INFINITY, 0, length);
  return x;
}

/** A leaf, and what of it the case works on. */
function operand(device: Device, test: SoftmaxCase, data: Float32Array): { leaf: Tensor; x: Tensor } {
  const options = { dtype: test.dtype ?? "f32", requiresGrad: true } as const;
  if (!test.offset) {
    const leaf = Tensor.from(device, data, test.shape, options);
    return { leaf, x: leaf };
  }
  const [rows, length] = test.shape as [number, number];
  const padded = new Float32Array(data.length + length);
  padded.set(data, length);
  const leaf = Tensor.from(device, padded, [rows + 1, length], options);
  return { leaf, x: leaf.narrow(0, 1, rows) };
}

async function check(device: Device, test: SoftmaxCase, log: boolean): Promise<void> {
  const { shape, dtype = "f32" } = test;
  const data = logits(test);
  const gradient = numbers(data.length, 2, dtype);
  const dim = test.dim < 0 ? test.dim + shape.length : test.dim;
  const length = shape[dim] ?? 1;
  const inner = numel(shape.slice(dim + 1));
  const { leaf, x } = operand(device, test, data);
  const y = scope(() => {
    const made = (log ? logSoftmax : softmax)(x, test.dim);
    made.backward({ gradient: Tensor.from(device, gradient, shape, { dtype }) });
    return made;
  });
  expect(y.shape).toEqual(shape);
  expect(y.dtype).toBe(dtype);
  const want = softmaxReference(data, length, inner, log);
  expectClose(await y.toArray(), want, tolerance(dtype), "y");
  const dx = (await leaf.grad!.toArray()).subarray(test.offset ? length : 0);
  // Backward starts from the stored result, whose rounding is its own.
  const stored = await y.toArray();
  expectClose(
    dx,
    softmaxGradientReference(stored, gradient, length, inner, log),
    {
      ...tolerance(dtype),
      atol: log ? 4 * tolerance(dtype).atol * Math.sqrt(length || 1) : tolerance(dtype).atol,
    },
    "dx",
  );
  for (const tensor of [leaf, x, y]) tensor.dispose();
}

for (const { name, device } of devices) {
  for (const choice of stepChoices(device, [softmaxLadder, softmaxBackwardLadder])) {
    describe(`${choice.name} with ${name}`, () => {
      it.skipIf(fixturesMissing)("computes PyTorch's values", async () => {
        choice.apply();
        try {
          await expectFixtures(device, "softmax");
          await expectFixtures(device, "log_softmax");
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
            await check(device, test, true);
          } finally {
            device.variants.clear();
          }
        });
      }
    });
  }
}

describe("softmax", () => {
  const { device } = devices[0]!;

  it("takes views that are transposed", async () => {
    const data = numbers(15, 3);
    const x = Tensor.from(device, data, [3, 5]);
    const y = x.transpose(0, 1).softmax(-1);
    const want = softmaxReference(data, 3, 5, false);
    expectClose(await y.transpose(0, 1).toArray(), want, tolerance("f32"), "y");
  });

  it("takes a gradient that is expanded, as that of a sum", async () => {
    const x = Tensor.from(device, numbers(12, 4), [3, 4], { requiresGrad: true });
    scope(() => x.softmax(1).sum().backward());
    expectClose(await x.grad!.toArray(), new Float64Array(12), tolerance("f32"), "dx");
  });

  it("names a dim that is out of range, and a type it does not take", () => {
    const x = Tensor.from(device, new Int32Array(6), [2, 3]);
    expect(() => x.to("f32").softmax(2)).toThrow(/softmax: dim 2 is out of range for 2 dimensions/);
    expect(() => x.softmax(0)).toThrow(/softmax: x is i32, expected f32 or f16.*\.to\("f32"\)/);
  });

  it("names a variant that does not exist, with those that do", () => {
    device.variants.set("softmax", "9-magic");
    const x = Tensor.from(device, new Float32Array(6), [2, 3]);
    expect(() => x.softmax(1)).toThrow(/there is no variant 9-magic.*1-naive, 2-workgroup/);
    device.variants.clear();
  });
});
