import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { Tensor } from "../../tensor.js";
import { pad } from "./index.js";

describe("pad", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());
  const count = (shape: number[]) =>
    Tensor.from(
      device,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i + 1),
      shape,
      {
        requiresGrad: true,
      },
    );

  it("adds on one side and crops on the other, and the gradient does the opposite", async () => {
    const x = count([2, 3]);
    const y = pad(x, [2, -1, -1, 1], 9);
    expect(y.shape).toEqual([2, 4]);
    expect(await list(y)).toEqual([9, 9, 4, 5, 9, 9, 9, 9]);
    y.backward({ gradient: count([2, 4]).detach() });
    expect(await list(x.grad!)).toEqual([0, 0, 0, 3, 4, 0]);
  });

  it("crops only, without a copy", async () => {
    const x = count([4]);
    const y = pad(x, [-1, -2]);
    expect(y.storage).toBe(x.storage);
    y.backward({ gradient: Tensor.full(device, [1], 5) });
    expect(await list(x.grad!)).toEqual([0, 5, 0, 0]);
  });

  it("takes views, five dimensions, integers, infinite values and empty tensors", async () => {
    expect(await list(pad(count([2, 2]).transpose(0, 1), [0, 1]))).toEqual([1, 3, 0, 2, 4, 0]);
    expect(pad(count([1, 2, 1, 2, 1]), [0, 0, 1, 1, 0, 0, 0, 0, 2, 0]).shape).toEqual([3, 2, 1, 4, 1]);
    expect(await list(pad(Tensor.from(device, Int32Array.of(3), [1]), [1, 1], -7))).toEqual([-7, 3, -7]);
    expect(await list(pad(count([1]), [1, 0], Number.NEGATIVE_INFINITY))).toEqual([
      Number.NEGATIVE_INFINITY,
      1,
    ]);
    expect(await list(pad(Tensor.zeros(device, [0]), [1, 1], 4))).toEqual([4, 4]);
    expect(pad(count([2]), [-1, -1]).shape).toEqual([0]);
  });

  it("refuses lists and crops that do not fit", () => {
    const x = count([2, 3]);
    expect(() => pad(x, [1])).toThrow(
      "pad: [1] must hold a pair (before, after) for at most the 2 dimensions of [2, 3]",
    );
    expect(() => pad(x, [0, 0, 0, 0, 1, 1])).toThrow("for at most the 2 dimensions");
    expect(() => pad(x, [-2, -2])).toThrow("pad: (-2, -2) crops more than dimension 1 of [2, 3] has");
  });
});
