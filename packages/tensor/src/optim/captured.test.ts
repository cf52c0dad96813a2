import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { capture } from "../capture/index.js";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import { Adafactor } from "./adafactor.js";
import { Adam, AdamW } from "./adam.js";
import { clipGradNorm_, gradNorm } from "./clip-grad-norm.js";
import type { Optimizer } from "./optimizer.js";
import { SGD } from "./sgd.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const SIZES = [1, 5, 64, 257];
const wave = (count: number, phase: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i + phase));

type AnyOptimizer = Optimizer<{ lr: number | null }>;
const optimizers: [string, (p: Tensor[]) => AnyOptimizer][] = [
  ["AdamW", (p) => new AdamW(p, { lr: 0.1 }) as unknown as AnyOptimizer],
  [
    "AdamW in two groups",
    (p) =>
      new AdamW([
        { params: p.slice(0, 2), weightDecay: 0.1 },
        { params: p.slice(2), weightDecay: 0 },
      ]) as unknown as AnyOptimizer,
  ],
  ["Adam", (p) => new Adam(p, { lr: 0.1, weightDecay: 0.1 }) as unknown as AnyOptimizer],
  ["AdamW with amsgrad", (p) => new AdamW(p, { lr: 0.1, amsgrad: true }) as unknown as AnyOptimizer],
  [
    "SGD",
    (p) =>
      new SGD(p, { lr: 0.1, momentum: 0.9, dampening: 0.5, weightDecay: 0.01 }) as unknown as AnyOptimizer,
  ],
  ["Adafactor", (p) => new Adafactor(p) as unknown as AnyOptimizer],
];

describe("a captured step", () => {
  it.each(optimizers)(
    "of %s follows the learning rate and counts steps: the bits of the step itself",
    async (_n, make) => {
      const run = async (captured: boolean) => {
        const params = SIZES.map((n, k) => Tensor.from(device, wave(n, k), [n], { requiresGrad: true }));
        const optimizer = make(params);
        const body = (x: Tensor) => {
          const loss = params.map((p) => p.mul(x).square().sum()).reduce((a, b) => a.add(b));
          loss.backward();
          const { norm, coefficient } = gradNorm(params, { maxNorm: 1 });
          optimizer.step({ gradScale: coefficient });
          optimizer.zeroGrad();
          return { loss: loss.detach(), norm };
        };
        const step = captured ? capture(body) : body;
        const seen: number[] = [];
        for (let s = 0; s < 6; s++) {
          for (const group of optimizer.paramGroups) if (group.lr !== null) group.lr = 0.1 / (s + 1);
          const { loss, norm } = step(Tensor.from(device, wave(1, s + 1), [1]));
          seen.push(await loss.item(), await norm.item());
        }
        if ("statistics" in step) expect(step.statistics).toMatchObject({ recorded: 1, replayed: 5 });
        for (const p of params) seen.push(...(await p.toArray()));
        seen.push(...Object.values(optimizer.stateDict().numbers));
        return seen;
      };
      const seen = await run(false);
      expect(seen.every(Number.isFinite)).toBe(true);
      expect(await run(true)).toEqual(seen);
    },
  );

  it("is recorded anew when betas change or a state is loaded", async () => {
    const run = async (captured: boolean) => {
      const p = Tensor.from(device, wave(5, 0), [5], { requiresGrad: true });
      const optimizer = new AdamW([p], { lr: 0.1 });
      const body = (x: Tensor) => {
        p.mul(x).square().sum().backward();
        clipGradNorm_([p], 0.5);
        optimizer.step();
        optimizer.zeroGrad();
        return p.sum();
      };
      const step = captured ? capture(body) : body;
      for (let s = 0; s < 9; s++) {
        if (s === 3) optimizer.paramGroups[0]!.betas = [0.8, 0.99];
        if (s === 6) {
          const { tensors, numbers } = optimizer.stateDict();
          const copies = new Map([...tensors].map(([name, tensor]) => [name, tensor.clone()]));
          optimizer.loadStateDict({ tensors: copies, numbers });
        }
        step(Tensor.from(device, wave(1, s + 1), [1]));
      }
      if ("statistics" in step) expect(step.statistics).toMatchObject({ recorded: 3, replayed: 6 });
      return [...(await p.toArray())];
    };
    expect(await run(true)).toEqual(await run(false));
  });
});

describe("the dispatches of an optimizer's step", () => {
  it("are at most 16 for 104 parameters, clipping included 24, on 16 storage buffers", () => {
    if (device.limits.maxStorageBuffersPerShaderStage < 16) return;
    const params = Array.from({ length: 104 }, (_, i) =>
      Tensor.full(device, [i + 1], 0.5, { requiresGrad: true }),
    );
    const optimizer = new AdamW([
      { params: params.slice(0, 41), weightDecay: 0.1 },
      { params: params.slice(41), weightDecay: 0 },
    ]);
    for (const p of params) p.grad = Tensor.full(device, p.shape, 0.1);
    optimizer.step();
    const before = device.snapshot().dispatches;
    optimizer.step();
    const between = device.snapshot().dispatches;
    const { coefficient } = gradNorm(params, { maxNorm: 1 });
    optimizer.step({ gradScale: coefficient });
    expect(between - before).toBeLessThanOrEqual(16);
    expect(device.snapshot().dispatches - between).toBeLessThanOrEqual(24);
    optimizer.dispose();
  });
});
