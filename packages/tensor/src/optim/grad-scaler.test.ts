import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { capture } from "../capture/index.js";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import { Adafactor } from "./adafactor.js";
import { AdamW } from "./adam.js";
import { clipGradNorm_ } from "./clip-grad-norm.js";
import { GradScaler } from "./grad-scaler.js";
import { SGD } from "./sgd.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const parameter = (...values: number[]) =>
  Tensor.from(device, Float32Array.from(values), [values.length], { requiresGrad: true });
const row = (...values: number[]) => Tensor.from(device, Float32Array.from(values), [values.length]);

/** Losses whose gradients are these rows; one that is not finite makes a step that must be skipped. */
const GRADIENTS = [
  [0.3, -1, 2],
  [1, Number.POSITIVE_INFINITY, 0],
  [-0.5, 0.25, 1],
  [0, 0, Number.NaN],
  [2, 1, -1],
];

describe("GradScaler", () => {
  it.each([
    ["AdamW", (p: Tensor[]) => new AdamW(p, { lr: 0.1 })],
    ["AdamW with amsgrad", (p: Tensor[]) => new AdamW(p, { lr: 0.1, amsgrad: true })],
    ["SGD", (p: Tensor[]) => new SGD(p, { lr: 0.1, momentum: 0.9 })],
    ["Adafactor", (p: Tensor[]) => new Adafactor(p, { lr: 0.1, relativeStep: false, decayRate: 0 })],
  ] as const)(
    "skips steps whose gradients are not finite, and trains %s as without them",
    async (name, make) => {
      const plain = parameter(0.5, -1, 2);
      const reference = make([plain]);
      for (const values of GRADIENTS.filter((g) => g.every(Number.isFinite))) {
        plain.grad = row(...values);
        reference.step();
        reference.zeroGrad();
      }
      const p = parameter(0.5, -1, 2);
      const optimizer = make([p]);
      const scaler = new GradScaler(device, { initScale: 1024 });
      for (const values of GRADIENTS) {
        const loss = p.mul(row(...values)).sum();
        scaler.scale(loss).backward();
        scaler.step(optimizer);
        scaler.update();
        optimizer.zeroGrad();
      }
      const [got, want] = [await p.toArray(), await plain.toArray()];
      // AMSGrad counts skipped steps too: its bias correction differs.
      const digits = name.endsWith("amsgrad") ? 0 : 5;
      want.forEach((w, i) => {
        expect(got[i]).toBeCloseTo(w, digits);
      });
      expect(await scaler.getScale()).toBe(256);
      expect(await scaler.getSkippedSteps()).toBe(2);
    },
  );

  it("grows after an interval of finite steps, and clips by the norm of the unscaled gradients", async () => {
    const p = parameter(0, 0);
    const optimizer = new SGD([p], { lr: 1 });
    const scaler = new GradScaler(device, { initScale: 4, growthInterval: 2 });
    const scales: number[] = [];
    for (let i = 0; i < 4; i++) {
      scaler.scale(p.mul(row(3, 4)).sum()).backward();
      const norm = scaler.step(optimizer, { maxNorm: 1 });
      scaler.update();
      optimizer.zeroGrad();
      expect(await norm!.item()).toBeCloseTo(5, 5);
      scales.push(await scaler.getScale());
    }
    expect(scales).toEqual([4, 8, 8, 16]);
    const got = await p.toArray();
    expect(got[0]).toBeCloseTo(-4 * 0.6, 5);
    expect(got[1]).toBeCloseTo(-4 * 0.8, 5);
  });

  it("unscales in place for code that looks at gradients", async () => {
    const p = parameter(0, 0);
    const optimizer = new SGD([p], { lr: 1 });
    const scaler = new GradScaler(device, { initScale: 8 });
    scaler.scale(p.mul(row(3, 4)).sum()).backward();
    expect([...(await p.grad!.toArray())]).toEqual([24, 32]);
    scaler.unscale_(optimizer);
    expect([...(await p.grad!.toArray())]).toEqual([3, 4]);
    expect(() => scaler.unscale_(optimizer)).toThrow("since the last update()");
    clipGradNorm_([p], 1);
    scaler.step(optimizer);
    expect(() => scaler.step(optimizer)).toThrow("update() must come between");
    scaler.update();
    expect((await p.toArray())[0]).toBeCloseTo(-0.6, 5);
  });

  it("goes on from a saved state, the optimizer too", async () => {
    const run = async (stopAt: number | null) => {
      let p = parameter(0.5, -1, 2);
      let optimizer = new AdamW([p], { lr: 0.1 });
      let scaler = new GradScaler(device, { growthInterval: 3 });
      for (const [s, values] of [...GRADIENTS, ...GRADIENTS].entries()) {
        if (s === stopAt) {
          const saved = optimizer.stateDict();
          expect(await saved.tensors.get("0.step")!.item()).toBe(2);
          p = parameter(...(await p.toArray()));
          const next = new AdamW([p], { lr: 0.1 });
          next.loadStateDict(saved);
          optimizer.dispose();
          optimizer = next;
          const other = new GradScaler(device);
          other.loadStateDict(await scaler.stateDict());
          scaler = other;
        }
        scaler.scale(p.mul(row(...values)).sum()).backward();
        scaler.step(optimizer);
        scaler.update();
        optimizer.zeroGrad();
      }
      return { values: [...(await p.toArray())], state: await scaler.stateDict() };
    };
    expect(await run(4)).toEqual(await run(null));
  });

  it("does the same, bit for bit, in a captured step", async () => {
    const run = async (captured: boolean) => {
      const p = parameter(0.5, -1, 2);
      const optimizer = new AdamW([p], { lr: 0.1 });
      const scaler = new GradScaler(device, { growthInterval: 2 });
      const body = (gradient: Tensor) => {
        scaler.scale(p.mul(gradient).sum()).backward();
        scaler.step(optimizer, { maxNorm: 1 });
        scaler.update();
        optimizer.zeroGrad();
        return p.sum();
      };
      const step = captured ? capture(body) : body;
      for (const values of [...GRADIENTS, ...GRADIENTS]) step(row(...values));
      if ("statistics" in step) expect(step.statistics).toMatchObject({ recorded: 1, replayed: 9 });
      return { values: [...(await p.toArray())], state: await scaler.stateDict() };
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("does nothing when it is not enabled", async () => {
    const p = parameter(1);
    const optimizer = new SGD([p], { lr: 1 });
    const scaler = new GradScaler(device, { enabled: false });
    const loss = p.mul(3).sum();
    expect(scaler.scale(loss)).toBe(loss);
    loss.backward();
    expect(scaler.step(optimizer)).toBeNull();
    scaler.update();
    expect(await p.item()).toBe(-2);
    expect(await scaler.getScale()).toBe(1);
  });
});
