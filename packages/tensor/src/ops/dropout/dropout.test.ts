import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { Generator, manualSeed } from "../../random/index.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { dropoutCases } from "./cases.js";
import { dropout } from "./index.js";
import { dropoutReference } from "./reference.js";

const ramp = (count: number) => Float32Array.from({ length: count }, (_, i) => 1 + (i % 13));

describe.each(["adapter", "default"] as const)("dropout, limits of the %s", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(limits === "default" ? { limits, features: [] } : { limits });
  });
  afterAll(() => device.close());

  it.each(dropoutCases)("equals the reference, backward with the same mask: $note", async ({ shape, p }) => {
    const generator = new Generator(31);
    generator.next(1000);
    const state = generator.getState();
    const values = ramp(numel(shape));
    using x = Tensor.from(device, values, shape, { requiresGrad: true });
    using y = dropout(x, p, true, generator);
    expect(await y.toArray()).toEqual(dropoutReference(values, p, state));
    using dy = Tensor.from(
      device,
      values.map((v) => v / 4),
      shape,
    );
    y.backward({ gradient: dy });
    expect(await x.grad!.toArray()).toEqual(
      dropoutReference(
        values.map((v) => v / 4),
        p,
        state,
      ),
    );
    expect(generator.getState().offset).toBe(1000 + Math.ceil(values.length / 4));
  });

  it("keeps 1 - p of the elements and their mean", async () => {
    using x = Tensor.full(device, [100_000], 1);
    using y = dropout(x, 0.3, true, new Generator(8));
    const values = await y.toArray();
    const kept = values.filter((v) => v !== 0).length / values.length;
    expect(Math.abs(kept - 0.7)).toBeLessThan(0.006);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
  });

  it("drops the same elements in f16", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    using x = Tensor.from(device, ramp(50), [50], { dtype: "f16" });
    using y = dropout(x, 0.5, true, new Generator(4));
    expect(await y.toArray()).toEqual(dropoutReference(ramp(50), 0.5, { seed: 4, offset: 0 }));
  });

  it("works on a strided view by its own order of elements", async () => {
    using x = Tensor.from(device, ramp(24), [4, 6]);
    using view = x.transpose(0, 1);
    using y = dropout(view, 0.5, true, new Generator(4));
    expect(await y.toArray()).toEqual(dropoutReference(await view.toArray(), 0.5, { seed: 4, offset: 0 }));
  });

  it("returns the input itself if there is nothing to drop, and draws nothing", () => {
    using x = Tensor.full(device, [4], 1);
    const generator = new Generator(1);
    expect(dropout(x, 0, true, generator)).toBe(x);
    expect(dropout(x, 0.5, false, generator)).toBe(x);
    expect(generator.getState().offset).toBe(0);
  });

  it("continues from a saved state", async () => {
    using x = Tensor.full(device, [64], 1);
    const generator = manualSeed(device, 5);
    dropout(x, 0.5).dispose();
    const saved = JSON.stringify(generator.getState());
    using next = dropout(x, 0.5);
    using resumed = dropout(x, 0.5, true, new Generator().setState(JSON.parse(saved)));
    expect(await resumed.toArray()).toEqual(await next.toArray());
  });

  it("stores no mask and leaves no buffer behind", async () => {
    using x = Tensor.from(device, ramp(64), [64], { requiresGrad: true });
    const step = () => {
      scope(() => dropout(x, 0.5).sum().backward());
      x.grad!.dispose();
      x.grad = null;
      return device.memory().liveTensors;
    };
    expect(step()).toBe(step());
  });

  it("refuses a p that is no probability", () => {
    using x = Tensor.full(device, [4], 1);
    expect(() => dropout(x, 1.5)).toThrow(/p is 1.5/);
    expect(() => dropout(x, Number.NaN)).toThrow(/p is NaN/);
  });
});
