import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Generator } from "../random/index.js";
import { Tensor } from "../tensor.js";
import * as init from "./init.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice({ limits: "default", features: [] });
});
afterAll(() => device.close());

async function moments(tensor: Tensor) {
  const values = Array.from(await tensor.toArray());
  tensor.dispose();
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const std = Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length);
  return { mean, std, min: Math.min(...values), max: Math.max(...values) };
}

/** A weight whose fan-in is 100 and fan-out 200. */
const weight = () => Tensor.zeros(device, [200, 100]);
const generator = () => new Generator(6);

describe("init", () => {
  const uniform: [string, (w: Tensor) => Tensor, number][] = [
    ["uniform_", (w) => init.uniform_(w, -3, 3, generator()), 3],
    ["xavierUniform_", (w) => init.xavierUniform_(w, 2, generator()), 2 * Math.sqrt(6 / 300)],
    ["kaimingUniform_", (w) => init.kaimingUniform_(w, { a: Math.sqrt(5), generator: generator() }), 0.1],
    [
      "kaimingUniform_ of fanOut",
      (w) => init.kaimingUniform_(w, { mode: "fanOut", nonlinearity: "relu", generator: generator() }),
      Math.sqrt(6 / 200),
    ],
  ];
  it.each(uniform)("%s fills its interval evenly", async (_name, fill, bound) => {
    const m = await moments(fill(weight()));
    expect(m.max).toBeLessThanOrEqual(bound);
    expect(m.min).toBeGreaterThanOrEqual(-bound);
    expect(m.max).toBeGreaterThan(0.999 * bound);
    expect(Math.abs(m.mean)).toBeLessThan(0.02 * bound);
    expect(m.std * Math.sqrt(3)).toBeCloseTo(bound, 1);
  });

  const normal: [string, (w: Tensor) => Tensor, number, number][] = [
    ["normal_", (w) => init.normal_(w, 5, 0.02, generator()), 5, 0.02],
    ["xavierNormal_", (w) => init.xavierNormal_(w, 1, generator()), 0, Math.sqrt(2 / 300)],
    ["kaimingNormal_", (w) => init.kaimingNormal_(w, { generator: generator() }), 0, Math.SQRT2 / 10],
  ];
  it.each(normal)("%s has its mean and deviation", async (_name, fill, mean, std) => {
    const m = await moments(fill(weight()));
    expect(Math.abs(m.mean - mean)).toBeLessThan(0.03 * std);
    expect(Math.abs(m.std / std - 1)).toBeLessThan(0.02);
  });

  it("truncNormal_ stays inside its cuts with the deviation of a cut normal", async () => {
    const two = await moments(init.truncNormal_(weight(), 0, 1, -2, 2, generator()));
    expect(two.min).toBeGreaterThanOrEqual(-2);
    expect(two.max).toBeLessThanOrEqual(2);
    expect(two.max).toBeGreaterThan(1.99);
    expect(Math.abs(two.mean)).toBeLessThan(0.03);
    expect(two.std).toBeCloseTo(0.8796, 1);
    const wide = await moments(init.truncNormal_(weight(), 0, 0.02, -2, 2, generator()));
    expect(wide.std / 0.02).toBeCloseTo(1, 1);
    const oneSided = await moments(init.truncNormal_(weight(), 0, 1, 0, 9, generator()));
    expect(oneSided.min).toBeGreaterThanOrEqual(0);
    expect(oneSided.mean).toBeCloseTo(0.7979, 1);
  });

  it("counts the kernel of a convolution in its fans", async () => {
    const m = await moments(
      init.kaimingNormal_(Tensor.zeros(device, [32, 16, 4, 4]), { generator: generator() }),
    );
    expect(m.std).toBeCloseTo(Math.SQRT2 / 16, 2);
  });

  it("sets constants, returns the tensor and notes the change", async () => {
    using w = weight();
    const version = w.storage.version;
    expect(init.ones_(w)).toBe(w);
    expect((await w.toArray())[7]).toBe(1);
    expect((await init.zeros_(w).toArray())[7]).toBe(0);
    expect((await init.constant_(w, 0.5).toArray())[7]).toBe(0.5);
    expect(w.storage.version).toBe(version + 3);
  });

  it("fills a part of a tensor without touching its neighbours", async () => {
    using w = Tensor.zeros(device, [4, 3]);
    using row = w.narrow(0, 1, 1);
    init.uniform_(row, 1, 2, generator());
    const values = Array.from(await w.toArray());
    expect(values.map((v) => v !== 0)).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0].map(Boolean));
  });

  it("refuses what it cannot fill", () => {
    using bias = Tensor.zeros(device, [7]);
    expect(() => init.xavierUniform_(bias)).toThrow(/\[7\]/);
    expect(() => init.normal_(bias, 0, -1)).toThrow(/deviation is -1/);
    expect(() => init.uniform_(weight().transpose(0, 1))).toThrow(/strided view/);
    expect(() => init.uniform_(Tensor.zeros(device, [2], "i32"))).toThrow(/i32/);
  });
});
