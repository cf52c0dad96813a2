import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { flip } from "./index.js";

describe("flip", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());
  const count = (shape: number[]) =>
    Tensor.from(
      device,
      Float32Array.from({ length: numel(shape) }, (_, i) => i),
      shape,
      { requiresGrad: true },
    );

  it("reverses one, several and all dimensions, and the gradient is reversed too", async () => {
    const x = count([2, 3]);
    expect(await list(flip(x, 0))).toEqual([3, 4, 5, 0, 1, 2]);
    expect(await list(flip(x, [-1]))).toEqual([2, 1, 0, 5, 4, 3]);
    const y = flip(x, [0, 1]);
    expect(await list(y)).toEqual([5, 4, 3, 2, 1, 0]);
    y.backward({ gradient: Tensor.from(device, Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]) });
    expect(await list(x.grad!)).toEqual([6, 5, 4, 3, 2, 1]);
  });

  it("takes five dimensions and views: twice is once", async () => {
    const x = count([2, 3, 2, 2, 3])
      .transpose(0, 4)
      .slice([[1, 3]]);
    expect(await list(flip(flip(x, [0, 2, 4]), [4, 0, 2]))).toEqual(await list(x));
    expect(await list(flip(x, 1).select(1, 0))).toEqual(await list(x.select(1, 2)));
  });

  it("takes empty tensors, and refuses a dimension twice", () => {
    expect(flip(Tensor.zeros(device, [0, 2]), [0, 1]).shape).toEqual([0, 2]);
    expect(() => flip(count([2]), [0, -1])).toThrow("flip: a dim appears twice");
    expect(() => flip(count([2]), 1)).toThrow("flip: dim 1 is out of range");
  });
});
