import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { capture } from "../capture/index.js";
import type { Device } from "../device/device.js";
import { Linear } from "../nn/layers.js";
import { openDevice } from "../node.js";
import { dropout } from "../ops/dropout/index.js";
import { AdamW } from "../optim/adam.js";
import { manualSeed } from "../random/index.js";
import { Tensor } from "../tensor.js";
import { autocast } from "./autocast.js";
import { checkpoint } from "./checkpoint.js";
import { noGrad, scope } from "./modes.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const wave = (shape: number[]) =>
  Tensor.from(
    device,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
    shape,
  );

/** Layers with dropout between them, each checkpointed or not. */
class Stack {
  readonly layers: Linear[];

  constructor(count: number, width: number) {
    manualSeed(device, 7);
    this.layers = Array.from({ length: count }, () => new Linear(device, width, width));
  }

  run(x: Tensor, checkpointed: boolean): Tensor {
    let h = x;
    for (const layer of this.layers) {
      const block = (input: Tensor) => dropout(layer.forward(input).gelu().add(input), 0.3, true).tanh();
      h = checkpointed ? checkpoint(block, h) : block(h);
    }
    return h;
  }

  get parameters(): Tensor[] {
    return this.layers.flatMap((layer) => [...layer.parameters()]);
  }
}

describe("checkpoint", () => {
  it.each([null, "f16"] as const)("gives the same loss and gradients, bit for bit, in %s", async (dtype) => {
    if (dtype && !device.features.has("shader-f16")) return;
    const run = async (checkpointed: boolean) => {
      const stack = new Stack(3, 16);
      const x = wave([4, 16]).requiresGrad_();
      const loss = autocast(dtype, () => stack.run(x, checkpointed).square().sum());
      loss.backward();
      const grads = await Promise.all(
        [x, ...stack.parameters].map(async (p) => [...(await p.grad!.toArray())]),
      );
      return { loss: await loss.item(), grads };
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("leaves the generator where a run without it leaves it, and trains the same in a captured step", async () => {
    const run = async (checkpointed: boolean, captured: boolean) => {
      const stack = new Stack(2, 8);
      const optimizer = new AdamW(stack.parameters, { lr: 0.01 });
      const body = (x: Tensor) => {
        const loss = stack.run(x, checkpointed).square().mean();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss.detach();
      };
      const step = captured ? capture(body) : (x: Tensor) => scope(() => body(x));
      const losses: number[] = [];
      for (let s = 0; s < 5; s++) losses.push(await step(wave([3, 8])).item());
      if ("statistics" in step) expect(step.statistics).toMatchObject({ recorded: 1, replayed: 4 });
      return losses;
    };
    const plain = await run(false, false);
    expect(new Set(plain).size).toBe(5);
    expect(await run(true, false)).toEqual(plain);
    expect(await run(true, true)).toEqual(plain);
  });

  it("takes several tensors and other values, gives several back, and leaves out what has no gradient", async () => {
    const [a, b] = [wave([3]).requiresGrad_(), wave([3])];
    const ids = Tensor.from(device, Int32Array.of(2, 0), [2]);
    const [sum, product, kept] = checkpoint(
      (x: Tensor, y: Tensor, n: Tensor, factor: number) => [x.add(y).mul(factor), x.mul(y), n],
      a,
      b,
      ids,
      3,
    ) as [Tensor, Tensor, Tensor];
    expect([sum.requiresGrad, product.requiresGrad, kept.requiresGrad]).toEqual([true, true, false]);
    product.sum().backward();
    expect([...(await a.grad!.toArray())]).toEqual([...(await b.toArray())]);
    expect(b.grad).toBeNull();
  });

  it("reaches parameters inside where no argument has a gradient", async () => {
    const layer = new Linear(device, 4, 4);
    checkpoint((x: Tensor) => layer.forward(x), wave([2, 4]))
      .sum()
      .backward();
    expect([...(await layer.bias!.grad!.toArray())]).toEqual([2, 2, 2, 2]);
  });

  it("does nothing special in noGrad, and keeps no tape that nobody runs", () => {
    const layer = new Linear(device, 4, 4);
    const x = wave([2, 4]);
    expect(noGrad(() => checkpoint((h: Tensor) => layer.forward(h), x)).requiresGrad).toBe(false);
    const { liveTensors } = device.memory();
    scope(() => {
      checkpoint((h: Tensor) => layer.forward(h), x);
    });
    expect(device.memory().liveTensors).toBe(liveTensors);
  });

  it("holds at most 60% of the memory, also in a captured step", () => {
    const peak = (checkpointed: boolean) => {
      const stack = new Stack(20, 32);
      const optimizer = new AdamW(stack.parameters);
      const x = wave([256, 32]);
      const body = (input: Tensor) => {
        const loss = stack.run(input, checkpointed).square().sum();
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss.detach();
      };
      scope(() => void body(x));
      const before = device.memory().liveBytes;
      device.pool.resetPeak();
      scope(() => void body(x));
      const eager = device.memory().peakLiveBytes - before;
      const step = capture(body);
      scope(() => void step(x));
      const captured = step.statistics.bytes;
      step.dispose();
      optimizer.dispose();
      return { eager, captured };
    };
    const [plain, less] = [peak(false), peak(true)];
    expect(less.eager).toBeLessThan(0.6 * plain.eager);
    expect(less.captured).toBeLessThan(0.6 * plain.captured);
  });
});
