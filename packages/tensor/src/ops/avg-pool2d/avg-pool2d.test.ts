import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { avgPool2dCases } from "./cases.js";
import { avgPool2d } from "./index.js";
import { avgPool2dBackwardReference, avgPool2dReference } from "./reference.js";

const values = (count: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898)));
const tolerance = { rtol: 1e-6, atol: 1e-6 };

describe.each(["adapter", "default"] as const)("avgPool2d, limits of the %s", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(limits === "default" ? { limits, features: [] } : { limits });
  });
  afterAll(() => device.close());

  it.each(avgPool2dCases)("equals the reference: $note", async (c) => {
    const x = values(numel(c.x));
    using tx = Tensor.from(device, x, c.x, { requiresGrad: true });
    using y = avgPool2d(tx, c);
    const want = avgPool2dReference(c, x);
    expect(y.shape).toEqual(want.shape);
    expectClose(await y.toArray(), want.data, tolerance, "y");
    const dy = values(y.numel);
    using gradient = Tensor.from(device, dy, y.shape);
    y.backward({ gradient });
    expectClose(await tx.grad!.toArray(), avgPool2dBackwardReference(c, dy), tolerance, "dx");
  });

  it.skipIf(fixturesMissing)("agrees with PyTorch", () => expectFixtures(device, "avg_pool2d"));

  it("steps by the window's size unless told, takes a picture without batch and views", async () => {
    using x = Tensor.from(device, values(48), [2, 6, 4]);
    using view = x.narrow(0, 1, 1);
    using y = avgPool2d(view, { kernelSize: 2 });
    const c = {
      x: [1, 1, 6, 4],
      kernelSize: [2, 2],
      stride: [2, 2],
      padding: [0, 0],
      countIncludePad: true,
    } as const;
    expectClose(await y.toArray(), avgPool2dReference(c, values(48).slice(24)).data, tolerance, "y");
    expect(y.shape).toEqual([1, 3, 2]);
  });

  it("says what does not fit", () => {
    scope(() => {
      const x = Tensor.zeros(device, [1, 1, 3, 3]);
      expect(() => avgPool2d(x, { kernelSize: 4 })).toThrow(
        /window \[4, 4\] is larger than the picture of \[1, 1, 3, 3\]/,
      );
      expect(() => avgPool2d(x, { kernelSize: 3, padding: 2 })).toThrow(/more than half the window/);
      expect(() => avgPool2d(Tensor.zeros(device, [3, 3]), { kernelSize: 2 })).toThrow(/got \[3, 3\]/);
    });
  });
});
