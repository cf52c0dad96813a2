import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { LayerNorm, Linear } from "../nn/layers.js";
import { Module } from "../nn/module.js";
import { openDevice } from "../node.js";
import { AdamW } from "../optim/adam.js";
import { Tensor } from "../tensor.js";
import { byModule, byPhase, summarise } from "./aggregate.js";
import { Profiler } from "./profiler.js";

class Block extends Module {
  readonly norm: LayerNorm;
  readonly lin: Linear;

  constructor(device: Device) {
    super();
    this.norm = new LayerNorm(device, 64);
    this.lin = new Linear(device, 64, 64);
  }

  forward(x: Tensor): Tensor {
    return this.lin.forward(this.norm.forward(x)).gelu();
  }
}

class Net extends Module {
  readonly first: Block;
  readonly second: Block;

  constructor(device: Device) {
    super();
    this.first = new Block(device);
    this.second = new Block(device);
  }

  forward(x: Tensor): Tensor {
    return this.second.forward(this.first.forward(x)).sum();
  }
}

/** A training step of two blocks. */
function makeStep(device: Device): { model: Net; step: () => void } {
  const model = new Net(device);
  const optimizer = new AdamW([...model.parameters()], { lr: 1e-3 });
  const step = () =>
    scope(() => {
      const x = Tensor.from(device, new Float32Array(32 * 64).fill(0.5), [32, 64]);
      model.forward(x).backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
  return { model, step };
}

describe("a profiler", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice({ dawnFlags: ["disable-dawn-features=timestamp_quantization"] });
  });
  afterAll(() => device.close());

  it("times every dispatch and knows where it comes from", async () => {
    const { model, step } = makeStep(device);
    const profiler = new Profiler(device, { title: "two blocks", model });
    await profiler.step(step, { timed: false });
    await profiler.step(step, { timed: false });
    const before = device.snapshot();
    await profiler.step(step);
    const after = device.snapshot();
    const profile = profiler.profile();
    expect(profile).toMatchObject({ title: "two blocks", adapter: device.description, timing: "dispatch" });
    expect(profile.unprofiled).toHaveLength(2);
    const { dispatches, submissions } = profile.steps[0]!;
    expect(dispatches.length).toBe(after.dispatches - before.dispatches);
    expect(submissions).toBe(1);
    dispatches.forEach((sample, i) => {
      expect(sample.duration).toBeGreaterThanOrEqual(0);
      if (i > 0) expect(sample.begin).toBeGreaterThanOrEqual(dispatches[i - 1]!.begin);
    });

    const whole = summarise(profile);
    expect(whole.seconds).toBeGreaterThan(0);
    expect(whole.gpuSpanSeconds).toBeLessThan(whole.profiled.mean);
    expect(whole.peakLiveBytes).toBeGreaterThan(32 * 64 * 4);
    expect(byPhase(profile).map(({ phase }) => phase)).toEqual(
      expect.arrayContaining(["forward", "backward", "optimizer"]),
    );
    const [root] = byModule(profile);
    expect(root!.children.map(({ path }) => path)).toEqual(["first", "second"]);
    for (const block of root!.children) {
      expect(block.children.map(({ name }) => name)).toEqual(["norm", "lin"]);
      for (const part of block.children) {
        expect(part.phases.forward).toBeGreaterThan(0);
        expect(part.phases.backward).toBeGreaterThan(0);
      }
    }
  });

  it("tells shapes of one kernel apart", async () => {
    const profiler = new Profiler(device);
    const product = (m: number) => {
      const a = Tensor.zeros(device, [m, 48]);
      a.matmul(Tensor.zeros(device, [48, 32]));
    };
    await profiler.step(() => scope(() => [40, 40, 56].forEach(product)));
    const products = profiler.profile().steps[0]!.dispatches.filter(({ op }) => op === "matmul");
    expect(new Set(products.map(({ shape }) => shape)).size).toBe(2);
    expect(products[0]!.shape).toMatch(/m 40, n 32, k 48/);
  });

  it("leaves the device as it was, also when the step fails", async () => {
    const profiler = new Profiler(device);
    await expect(
      profiler.step(() => {
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(device.timer).toBeNull();
    expect(profiler.profile().steps).toEqual([]);
    await profiler.step(() => scope(() => void Tensor.zeros(device, [4]).add(1)));
    expect(profiler.profile().steps).toHaveLength(1);
    expect(device.timer).toBeNull();
  });
});

describe("without timestamps", () => {
  it("counts dispatches and times whole steps", async () => {
    using plain = await openDevice({ features: [] });
    const { model, step } = makeStep(plain);
    const profiler = new Profiler(plain, { model });
    await profiler.step(step);
    const profile = profiler.profile();
    expect(profile.timing).toBe("submission");
    const whole = summarise(profile);
    expect(whole.dispatches).toBeGreaterThan(10);
    expect(whole.bytes).toBeGreaterThan(0);
    expect(whole.seconds).toBe(0);
    expect(whole.profiled.mean).toBeGreaterThan(0);
  });
});
