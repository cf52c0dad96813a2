import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { tril, triu } from "./index.js";
import { triangleReference } from "./reference.js";

describe("triangle", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());

  it.each([
    { shape: [4, 4], diagonal: 0 },
    { shape: [3, 5], diagonal: 2 },
    { shape: [5, 3], diagonal: -2 },
    { shape: [2, 3, 2, 9, 7], diagonal: 1 },
    { shape: [2, 2], diagonal: 100 },
    { shape: [2, 2], diagonal: -100 },
    { shape: [0, 2], diagonal: 0 },
  ])("keeps one side of diagonal $diagonal of $shape, of the gradient too", async ({ shape, diagonal }) => {
    const data = Float32Array.from({ length: numel(shape) }, (_, i) => i + 1);
    const [rows, columns] = shape.slice(-2) as [number, number];
    for (const lower of [true, false]) {
      const x = Tensor.from(device, data, shape, { requiresGrad: true });
      const y = lower ? tril(x, diagonal) : triu(x, diagonal);
      const want = triangleReference(data, rows, columns, diagonal, lower);
      expect(await list(y)).toEqual(want);
      y.backward({ gradient: Tensor.from(device, data, shape) });
      expect(await list(x.grad!)).toEqual(want);
    }
  });

  it("cuts infinities and NaN off, and reads views", async () => {
    const x = Tensor.from(device, Float32Array.of(1, Infinity, Number.NaN, 2), [2, 2]);
    expect(await list(tril(x).triu())).toEqual([1, 0, 0, 2]);
    const y = Tensor.from(device, Float32Array.of(1, 2, 3, 4), [2, 2]).transpose(0, 1);
    expect(await list(tril(y))).toEqual([1, 0, 2, 4]);
  });

  it("refuses vectors and fractions", () => {
    expect(() => tril(Tensor.zeros(device, [3]))).toThrow("tril: needs two dimensions, got [3]");
    expect(() => triu(Tensor.zeros(device, [3, 3]), 0.5)).toThrow("triu: diagonal 0.5 is not a whole number");
  });
});
