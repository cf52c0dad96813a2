import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { noGrad } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { Dropout, LayerNorm, Linear } from "../nn/layers.js";
import { Module } from "../nn/module.js";
import { openDevice } from "../node.js";
import { crossEntropy } from "../ops/cross-entropy/index.js";
import { AdamW } from "../optim/adam.js";
import { clipGradNorm_ } from "../optim/clip-grad-norm.js";
import { manualSeed } from "../random/generator.js";
import { Tensor } from "../tensor.js";
import { capture } from "./index.js";

/** Two layers with dropout and a norm. */
class Net extends Module {
  lin1: Linear;
  norm: LayerNorm;
  dropout = new Dropout(0.3);
  lin2: Linear;

  constructor(device: Device) {
    super();
    this.lin1 = new Linear(device, 8, 16);
    this.norm = new LayerNorm(device, 16);
    this.lin2 = new Linear(device, 16, 3);
  }

  forward(x: Tensor): Tensor {
    return this.lin2.forward(this.dropout.forward(this.norm.forward(this.lin1.forward(x)).gelu()));
  }
}

describe("capture", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const batch = (step: number, rows = 6) => {
    const x = Float32Array.from({ length: rows * 8 }, (_, i) => Math.sin(i * 1.7 + step));
    const labels = Int32Array.from({ length: rows }, (_, i) => (i + step) % 3);
    return [Tensor.from(device, x, [rows, 8]), Tensor.from(device, labels, [rows])] as const;
  };

  /** 50 steps with warm-up, clipping and two batches a step; losses and the weights at the end. */
  async function train(captured: boolean, sizes: (step: number) => number) {
    manualSeed(device, 5);
    const net = new Net(device);
    const optimizer = new AdamW(net.parameters(), { lr: 1e-2 });
    const backward = (x: Tensor, labels: Tensor) => {
      const loss = crossEntropy(net.forward(x), labels).mul(0.5);
      loss.backward();
      return loss.detach();
    };
    const update = (x: Tensor, labels: Tensor) => {
      const loss = backward(x, labels);
      const norm = clipGradNorm_([...net.parameters()], 0.5);
      optimizer.step();
      optimizer.zeroGrad();
      return { loss, norm };
    };
    const first = captured ? capture(backward) : backward;
    const second = captured ? capture(update) : update;
    const seen: number[] = [];
    for (let step = 0; step < 50; step++) {
      optimizer.paramGroups[0]!.lr = 1e-2 * Math.min(1, (step + 1) / 10);
      const [x1, y1] = batch(2 * step, sizes(step));
      const [x2, y2] = batch(2 * step + 1, sizes(step));
      const a = first(x1, y1);
      const b = second(x2, y2);
      seen.push(await a.item(), await b.loss.item(), await b.norm.item());
      for (const tensor of [x1, y1, x2, y2, a, b.loss, b.norm]) tensor.dispose();
    }
    const weights = await net.lin1.weight.toArray();
    const statistics = captured
      ? [first, second].map((f) => (f as ReturnType<typeof capture>).statistics)
      : [];
    return { seen, weights: [...weights], statistics };
  }

  it("follows the eager trajectory bit for bit with dropout, warm-up, clipping and accumulation", async () => {
    const eager = await train(false, () => 6);
    const replayed = await train(true, () => 6);
    expect(new Set(eager.seen).size).toBeGreaterThan(100);
    expect(replayed.seen).toEqual(eager.seen);
    expect(replayed.weights).toEqual(eager.weights);
    for (const { recorded, replayed: again } of replayed.statistics) {
      expect(recorded).toBeLessThan(5);
      expect(again).toBe(50 - recorded);
    }
  });

  it("follows it through changing shapes, each with a recording of its own", async () => {
    const sizes = (step: number) => [6, 4, 7][step % 3]!;
    const eager = await train(false, sizes);
    const replayed = await train(true, sizes);
    expect(replayed.seen).toEqual(eager.seen);
    expect(replayed.weights).toEqual(eager.weights);
    for (const { recorded } of replayed.statistics) expect(recorded).toBeLessThan(10);
  });

  it("makes no buffer and no bind group, and one submission a call, once warm", async () => {
    const net = new Net(device);
    const optimizer = new AdamW(net.parameters());
    const step = capture((x: Tensor, labels: Tensor) => {
      crossEntropy(net.forward(x), labels).backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    const [x, labels] = batch(0);
    for (let i = 0; i < 3; i++) step(x, labels);
    const before = device.snapshot();
    const { liveTensors, liveBuffers } = device.memory();
    for (let i = 0; i < 10; i++) step(x, labels);
    const after = device.snapshot();
    expect(after.submissions - before.submissions).toBe(10);
    expect(after.buffersCreated).toBe(before.buffersCreated);
    expect(after.bindGroupsCreated).toBe(before.bindGroupsCreated);
    expect(after.dispatches - before.dispatches).toBeGreaterThan(100);
    expect(device.memory()).toMatchObject({ liveTensors, liveBuffers });
    expect(step.statistics).toMatchObject({ recorded: 1, replayed: 12, plans: 1 });
  });

  it("records anew for another mode, other parts, frozen parameters, other kernels, another plain argument", async () => {
    const net = new Net(device);
    const run = capture((x: Tensor, factor: number) => noGrad(() => net.forward(x).mul(factor)));
    const [x] = batch(1);
    const value = async (factor: number) => {
      const y = run(x, factor);
      const got = [...(await y.toArray())];
      y.dispose();
      return got;
    };
    const eager = async (factor: number) => {
      const y = noGrad(() => net.forward(x).mul(factor));
      return [...(await y.toArray())];
    };
    net.eval();
    await value(1);
    expect(await value(1)).toEqual(await eager(1));
    expect(await value(3)).toEqual(await eager(3));
    expect(run.statistics.recorded).toBe(2);
    net.train();
    const [one, two] = [await value(1), await value(1)];
    expect(one).not.toEqual(two);
    expect(run.statistics.recorded).toBe(3);
    net.eval();
    expect(await value(1)).toEqual(await eager(1));
    expect(run.statistics.recorded).toBe(3);
    net.lin2 = new Linear(device, 16, 3);
    expect(await value(1)).toEqual(await eager(1));
    net.lin2.weight = new Linear(device, 16, 3).weight;
    expect(await value(1)).toEqual(await eager(1));
    expect(run.statistics.recorded).toBe(5);
    net.lin2.weight.requiresGrad = false;
    await value(1);
    expect(run.statistics.recorded).toBe(6);
    device.variants.set("matmul", "1-naive");
    await value(1);
    expect(run.statistics.recorded).toBe(7);
    device.variants.delete("matmul");
    net.dropout = new Dropout(0.1);
    await value(1);
    expect(run.statistics.recorded).toBe(8);
  });

  it("sees new contents of parameters and of tensors from outside", async () => {
    const factor = Tensor.full(device, [], 2);
    const run = capture((x: Tensor) => x.mul(factor));
    const x = Tensor.from(device, Float32Array.of(1, 2), [2]);
    const y = Tensor.from(device, Float32Array.of(5, 7), [2]);
    for (const [input, by, want] of [
      [x, 2, [2, 4]],
      [x, 3, [3, 6]],
      [y, 4, [20, 28]],
    ] as const) {
      factor.fill_(by);
      expect([...(await run(input).toArray())]).toEqual(want);
    }
    expect(run.statistics).toMatchObject({ recorded: 1, replayed: 2 });
  });

  it("takes views and one tensor twice", async () => {
    const x = Tensor.from(device, Float32Array.of(1, 2, 3, 4), [2, 2]);
    const run = capture((a: Tensor, b: Tensor) => a.sub(b));
    for (let i = 0; i < 3; i++) {
      expect([...(await run(x, x).toArray())]).toEqual([0, 0, 0, 0]);
      expect([...(await run(x, x.transpose(0, 1)).toArray())]).toEqual([0, -1, 1, 0]);
      expect([...(await run(x.narrow(0, 1, 1), x.narrow(0, 0, 1)).toArray())]).toEqual([2, 2]);
    }
  });

  it("returns structures, arguments and shared memory", async () => {
    const run = capture((x: Tensor) => {
      const y = x.mul(2);
      return { x, list: [y, y.reshape([4])], text: "as it was" };
    });
    for (const factor of [1, 2, 3]) {
      const x = Tensor.full(device, [2, 2], factor);
      const out = run(x);
      expect(out.text).toBe("as it was");
      expect([...(await out.x.toArray())]).toEqual([factor, factor, factor, factor]);
      expect(out.list[1]!.shape).toEqual([4]);
      expect([...(await out.list[1]!.toArray())]).toEqual([2 * factor, 2 * factor, 2 * factor, 2 * factor]);
    }
  });

  describe("refuses", () => {
    const x = () => Tensor.full(device, [2], 1);

    it("data from the host inside the step", () => {
      const run = capture((a: Tensor) => a.add(Tensor.from(device, Float32Array.of(1, 2), [2])));
      expect(() => run(x())).toThrow(/brings data from the host.*pass them to the step as arguments/);
    });

    it("an argument changed in place", () => {
      const run = capture((a: Tensor) => a.fill_(3));
      expect(() => run(x())).toThrow("changes its argument in place");
    });

    it("a step that keeps what it makes, after it had time to set itself up", () => {
      const run = capture((a: Tensor) => {
        a.mul(2).keep();
      });
      run(x());
      run(x());
      expect(() => run(x())).toThrow(/1 tensors made in the step \(16 bytes\) are still held/);
    });

    it("arguments that want a gradient, and no device", () => {
      expect(() => capture((a: Tensor) => a.mul(2))(x().requiresGrad_())).toThrow("requires a gradient");
      expect(() => capture(() => null)()).toThrow("name its device");
    });
  });

  it("gives its memory back", () => {
    const before = device.memory().liveBuffers;
    const run = capture((a: Tensor) => a.mul(2).add(1));
    const x = Tensor.full(device, [1000], 1);
    for (let i = 0; i < 3; i++) run(x).dispose();
    expect(device.memory().liveBuffers).toBeGreaterThan(before);
    run.dispose();
    x.dispose();
    expect(device.memory().liveBuffers).toBe(before);
  });
});
