import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import { AdamW } from "./adam.js";
import { clipGradNorm_ } from "./clip-grad-norm.js";
import { getScheduler, type SchedulerType } from "./schedules.js";
import { SGD } from "./sgd.js";

const shared = process.env.WGRAD_SHARED!;
const schedules = resolve(shared, "fixtures/optim/schedules.json");

let device: Device;
let limited: Device;
beforeAll(async () => {
  device = await openDevice();
  limited = await openDevice({ limits: "default", features: [] });
});
afterAll(() => {
  device.close();
  limited.close();
});

const parameter = (on: Device, values: number[]) =>
  Tensor.from(on, Float32Array.from(values), [values.length], { requiresGrad: true });

/** AdamW in double precision, step by step as in the paper (algorithm 2 of Loshchilov & Hutter). */
function adamWReference(p: number[], gradients: number[][], lr: number, decay: number): number[] {
  const m = p.map(() => 0);
  const v = p.map(() => 0);
  const out = [...p];
  gradients.forEach((g, s) => {
    g.forEach((gi, i) => {
      m[i] = 0.9 * m[i]! + 0.1 * gi;
      v[i] = 0.999 * v[i]! + 0.001 * gi * gi;
      const mh = m[i]! / (1 - 0.9 ** (s + 1));
      const vh = v[i]! / (1 - 0.999 ** (s + 1));
      out[i] = out[i]! - lr * decay * out[i]! - (lr * mh) / (Math.sqrt(vh) + 1e-8);
    });
  });
  return out;
}

describe("AdamW", () => {
  it.each([
    ["many tensors a dispatch", () => device],
    ["on an adapter with 8 storage buffers", () => limited],
  ])("agrees with the paper's formula: %s", async (_name, on) => {
    const sizes = [1, 4, 5, 64, 257, 3, 1000];
    const start = sizes.map((n, k) => Array.from({ length: n }, (_, i) => Math.sin(i + k)));
    const params = start.map((values) => parameter(on(), values));
    const optimizer = new AdamW(params, { lr: 0.05, weightDecay: 0.1 });
    const gradientOf = (k: number, s: number) => start[k]!.map((_, i) => Math.cos(3 * i + k + s));
    for (let s = 0; s < 3; s++) {
      params.forEach((p, k) => {
        p.grad = Tensor.from(on(), Float32Array.from(gradientOf(k, s)), p.shape);
      });
      optimizer.step();
      optimizer.zeroGrad();
    }
    for (const [k, p] of params.entries()) {
      const want = adamWReference(
        start[k]!,
        [0, 1, 2].map((s) => gradientOf(k, s)),
        0.05,
        0.1,
      );
      const got = await p.toArray();
      want.forEach((w, i) => {
        expect(got[i]).toBeCloseTo(w, 5);
      });
    }
  });

  it("goes on from a saved state with the same bits", async () => {
    const run = async (stopAt: number | null) => {
      let p = parameter(device, [0.5, -1, 2]);
      let optimizer = new AdamW([p], { lr: 0.1 });
      for (let s = 0; s < 6; s++) {
        if (s === stopAt) {
          const saved = optimizer.stateDict();
          p = parameter(device, [...(await p.toArray())]);
          const next = new AdamW([p], { lr: 0.1 });
          next.loadStateDict(saved);
          optimizer = next;
        }
        p.grad = Tensor.from(device, Float32Array.of(Math.sin(s), 0.3, -s), [3]);
        optimizer.step();
        optimizer.zeroGrad();
      }
      return [...(await p.toArray())];
    };
    expect(await run(3)).toEqual(await run(null));
  });
});

describe("clipGradNorm_", () => {
  it("returns the norm before and scales all gradients, also two that came from one memory", async () => {
    const a = parameter(device, [3, 0, 0]);
    const b = parameter(device, [0, 4, 0]);
    const loss = scope(() =>
      a
        .add(b)
        .mul(Tensor.from(device, Float32Array.of(3, 4, 0), [3]))
        .sum(),
    );
    loss.backward();
    const norm = clipGradNorm_([a, b], 1);
    expect(await norm.item()).toBeCloseTo(Math.sqrt(50), 5);
    for (const p of [a, b]) {
      const got = await p.grad!.toArray();
      expect(got[0]).toBeCloseTo(3 / Math.sqrt(50), 5);
      expect(got[1]).toBeCloseTo(4 / Math.sqrt(50), 5);
    }
  });

  it("says what to do when nothing has a gradient", () => {
    expect(() => clipGradNorm_([parameter(device, [1])], 1)).toThrow("Call backward() first");
  });
});

describe("a training loop", () => {
  it("leaves after 100 steps as many live buffers as after 3, and makes none after the third", async () => {
    const w = parameter(
      device,
      Array.from({ length: 64 }, (_, i) => Math.sin(i)),
    );
    const optimizer = new AdamW([w], { lr: 0.01 });
    let after3 = device.memory();
    for (let s = 1; s <= 100; s++) {
      const loss = scope(() => {
        const x = Tensor.from(device, new Float32Array(64).fill(s / 100), [64]);
        const made = w.mul(x).gelu().square().mean();
        made.backward();
        clipGradNorm_([w], 1);
        optimizer.step();
        optimizer.zeroGrad();
        return made;
      });
      device.submit();
      loss.dispose();
      if (s === 3) after3 = device.memory();
    }
    const after100 = device.memory();
    expect(after100.liveBuffers).toBe(after3.liveBuffers);
    expect(after100.liveTensors).toBe(after3.liveTensors);
    expect(after100.created).toBe(after3.created);
    await device.synchronize();
  });
});

describe("a training loop over batches of changing length", () => {
  it("makes no buffer once it has seen each length twice", async () => {
    const w = parameter(
      device,
      Array.from({ length: 64 }, (_, i) => Math.sin(i)),
    );
    const optimizer = new AdamW([w], { lr: 0.01 });
    const step = (rows: number) => {
      const loss = scope(() => {
        const made = w
          .mul(Tensor.from(device, new Float32Array(64 * rows).fill(0.1), [rows, 64]))
          .gelu()
          .square()
          .mean();
        made.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return made;
      });
      device.submit();
      loss.dispose();
    };
    const lengths = [8, 40, 16, 24, 48, 32];
    for (let i = 0; i < 2; i++) lengths.forEach(step);
    const before = device.snapshot();
    for (const rows of [24, 8, 48, 32, 40, 16, 48, 8]) step(rows);
    expect(device.snapshot().buffersCreated).toBe(before.buffersCreated);
    await device.synchronize();
  });
});

describe("SGD", () => {
  it("refuses a parameter in two groups and an empty list", () => {
    const p = parameter(device, [1]);
    expect(() => new SGD([{ params: [p] }, { params: [p] }])).toThrow("appears in two groups");
    expect(() => new SGD([])).toThrow("no parameters");
  });
});

interface ScheduleCase {
  name: SchedulerType;
  num_warmup_steps: number;
  num_training_steps: number;
  kwargs: { num_cycles?: number; power?: number; lr_end?: number; timescale?: number };
  base_lr: number;
  lr: number[];
}

describe.skipIf(!existsSync(schedules))(
  "getScheduler, against transformers.get_scheduler (needs WGRAD_SHARED)",
  () => {
    const cases: ScheduleCase[] = existsSync(schedules)
      ? JSON.parse(readFileSync(schedules, "utf8")).schedules
      : [];
    it.each(cases)("$name, warm-up $num_warmup_steps of $num_training_steps, $kwargs", (c) => {
      const rate = getScheduler(c.name, {
        lr: c.base_lr,
        numWarmupSteps: c.num_warmup_steps,
        numTrainingSteps: c.num_training_steps,
        numCycles: c.kwargs.num_cycles,
        power: c.kwargs.power,
        lrEnd: c.kwargs.lr_end,
        timescale: c.kwargs.timescale,
      });
      c.lr.forEach((want, s) => {
        expect(Math.abs(rate(s) - want)).toBeLessThanOrEqual(1e-15 + 1e-9 * want);
      });
    });
  },
);

it("an unknown schedule is named with those there are", () => {
  expect(() => getScheduler("linaer" as SchedulerType, { lr: 1, numTrainingSteps: 1 })).toThrow(
    "cosine_with_restarts",
  );
});
