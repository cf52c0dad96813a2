import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { meanPoolCases } from "./cases.js";
import { meanPool } from "./index.js";
import { meanPoolBackwardReference, meanPoolReference } from "./reference.js";

const values = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898)));
const tolerance = { rtol: 2e-6, atol: 1e-6 };

describe.each(["adapter", "default"] as const)("meanPool, limits of the %s", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(limits === "default" ? { limits, features: [] } : { limits });
  });
  afterAll(() => device.close());

  it.each(meanPoolCases)("equals the reference: $note", async ({ shape, kept }) => {
    const [batch, tokens, features] = shape;
    const x = values(numel(shape));
    const mask = Uint8Array.from({ length: batch * tokens }, (_, i) =>
      i % tokens < kept[Math.floor(i / tokens)]! ? 1 : 0,
    );
    // Padded positions may hold anything.
    x.forEach((_, i) => {
      if (!mask[Math.floor(i / features)]) x[i] = Number.NaN;
    });
    using tx = Tensor.from(device, x, shape, { requiresGrad: true });
    using tm = Tensor.from(device, mask, [batch, tokens]);
    using y = meanPool(tx, tm);
    expectClose(await y.toArray(), meanPoolReference(shape, x, mask), tolerance, "y");
    const dy = values(y.numel);
    using gradient = Tensor.from(device, dy, y.shape);
    y.backward({ gradient });
    expectClose(await tx.grad!.toArray(), meanPoolBackwardReference(shape, mask, dy), tolerance, "dx");
  });

  it.skipIf(fixturesMissing)("agrees with PyTorch", () => expectFixtures(device, "mean_pool"));

  it("takes masks of whole numbers and of weights, and views", async () => {
    const x = values(24);
    using stored = Tensor.from(device, x, [3, 2, 4]);
    using tx = stored.transpose(0, 1);
    using ids = Tensor.from(device, Int32Array.from([1, 1, 0, 1, 0, 0]), [2, 3]);
    using a = meanPool(tx, ids);
    const turned = await tx.toArray();
    expectClose(
      await a.toArray(),
      meanPoolReference([2, 3, 4], turned, [1, 1, 0, 1, 0, 0]),
      tolerance,
      "i32",
    );
    using weights = Tensor.from(device, Float32Array.from([0.5, 2, 0, 0, 1, 1]), [2, 3]);
    using b = meanPool(tx, weights);
    expectClose(
      await b.toArray(),
      meanPoolReference([2, 3, 4], turned, [0.5, 2, 0, 0, 1, 1]),
      tolerance,
      "f32",
    );
  });

  it("says which shapes it needs", () => {
    scope(() => {
      const x = Tensor.zeros(device, [2, 3, 4]);
      expect(() => meanPool(x, Tensor.zeros(device, [3, 2]))).toThrow(
        /x \[B, T, D\] and mask \[B, T\], got \[2, 3, 4\] and \[3, 2\]/,
      );
    });
  });
});
