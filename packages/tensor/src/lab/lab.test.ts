import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { choose } from "../kernels/ladder.js";
import { openDevice } from "../node.js";
import { benchEntry } from "./bench.js";
import { checkEntry, compare, entryOf } from "./check.js";
import { entries } from "./entries.js";
import { overview } from "./overview.js";
import { checkOwnKernel, describeOwnKernel, ownKernel, useOwnKernel } from "./own-kernel.js";
import { measurePeaks } from "./peaks.js";
import { spreadOf } from "./stopwatch.js";
import { adapterSlug, loadTuning, tune } from "./tune.js";

const softmax = entryOf(entries, "softmax");
const { template } = softmax.contract;

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const cpuTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

describe("compare", () => {
  const tolerance = { rtol: 0.1, atol: 0.5 };

  it("finds the cell that uses most of the tolerance", () => {
    expect(compare([1, 2, 10.75], [1, 2.2, 10], tolerance)).toMatchObject({ at: 2, wrong: 0, used: 0.5 });
    expect(compare([1, 9], [1, 4], tolerance)).toMatchObject({ at: 1, got: 9, wrong: 1 });
  });

  it("lets NaN and infinities pass only where they are expected", () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    expect(compare([nan, inf], [nan, inf], tolerance)).toMatchObject({ at: -1, wrong: 0 });
    for (const [got, want] of [
      [nan, 1],
      [1, nan],
      [inf, 1],
      [1, inf],
      [inf, -inf],
    ] as const)
      expect(compare([got], [want], tolerance)).toMatchObject({ at: 0, wrong: 1, used: inf });
  });
});

describe("entries", () => {
  it("have names of their own, shapes that they can read, and choices among their steps", () => {
    expect(new Set(entries.map(({ ladder }) => ladder.op)).size).toBe(entries.length);
    for (const entry of entries) {
      expect(entry.benchShapes.length, entry.ladder.op).toBeGreaterThan(0);
      for (const shape of [...entry.benchShapes, ...entry.checkShapes]) {
        expect(entry.workload(shape).shape).toBe(shape);
        expect(entry.workload(shape).bytes).toBeGreaterThan(0);
      }
      const { steps, choices } = overview(device, entry);
      for (const choice of choices) {
        const step = steps.find(({ name }) => name === choice.step);
        expect(step, `${entry.ladder.op} ${choice.shape}`).toMatchObject({ lacks: null });
      }
    }
  });

  it("names an op that does not exist, with the nearest", () => {
    expect(() => entryOf(entries, "sofmax")).toThrow(/there is no ladder sofmax. Did you mean softmax\?/);
  });
});

describe("a user's kernel", () => {
  it("is taken where it is right, and serves the op from then on", async () => {
    const kernel = ownKernel("mine.wgsl", template);
    const report = await useOwnKernel(device, softmax, kernel);
    try {
      expect(report).toMatchObject({ ok: true, failed: [], error: null });
      expect(describeOwnKernel(report)).toMatch(/^mine\.wgsl: right on all \d+ shapes of softmax/);
      const { problem } = softmax.workload("65x64");
      expect(choose(device, softmax.ladder, problem)).toMatchObject({ why: "your kernel" });
      // The engine's own steps are checked without it all the same.
      const [result] = await checkEntry(device, softmax, { steps: ["1-naive"], shapes: ["65x64"] });
      expect(result).toMatchObject({ step: "1-naive", status: "passed" });
      expect(device.ownKernels.get("softmax")).toBe(kernel);
    } finally {
      device.ownKernels.clear();
    }
  });

  it("is refused where cells are left unwritten, even with the right numbers there from before", async () => {
    await checkEntry(device, softmax, { steps: ["1-naive"] });
    const lazy = template.replace(/row >= params\.rows/, "row + 1u >= params.rows");
    expect(lazy).not.toBe(template);
    const report = await checkOwnKernel(device, softmax, ownKernel("lazy.wgsl", lazy));
    expect(report.ok).toBe(false);
    expect(report.failed.length).toBeGreaterThan(3);
    expect(describeOwnKernel(report)).toMatch(
      /y\[\d+, \d+, \d+\] is NaN, expected \S+; \d+ of \d+ cells are wrong/,
    );
    await expect(useOwnKernel(device, softmax, ownKernel("lazy.wgsl", lazy))).rejects.toThrow(
      /lazy\.wgsl is wrong on/,
    );
    expect(device.ownKernels.size).toBe(0);
    await useOwnKernel(device, softmax, ownKernel("lazy.wgsl", lazy), { force: true });
    expect(device.ownKernels.size).toBe(1);
    device.ownKernels.clear();
  });

  it("that does not compile is refused with its own line and column, also by force", async () => {
    const lines = template.split("\n");
    const line = lines.findIndex((text) => text.includes("fn main(")) + 1;
    lines.splice(line, 0, "  let wrong: u32 = 1.5;");
    const kernel = ownKernel("broken.wgsl", lines.join("\n"));
    const refused = expect(useOwnKernel(device, softmax, kernel, { force: true })).rejects;
    await refused.toThrow(new RegExp(`broken\\.wgsl does not compile:\n *broken\\.wgsl:${line + 1}:\\d+: `));
    // The device is as good as before.
    const [result] = await checkEntry(device, softmax, { steps: ["1-naive"], shapes: ["65x64"] });
    expect(result).toMatchObject({ status: "passed" });
  });

  it("gets a name of its own when its text has changed", () => {
    expect(ownKernel("twice.wgsl", "a").name).toBe("twice.wgsl");
    expect(ownKernel("twice.wgsl", "b").name).toBe("twice.wgsl#2");
    expect(ownKernel("twice.wgsl", "a").name).toBe("twice.wgsl");
  });
});

describe("measuring", () => {
  it("gives peaks, times with their spread, and shares of the peaks", async () => {
    const peaks = await measurePeaks(device, { cpuTime, sampleSeconds: 0.005 });
    expect(peaks.f32.perSecond).toBeGreaterThan(1e9);
    expect(peaks.copy.perSecond).toBeGreaterThan(1e8);
    const rows = await benchEntry(device, softmax, { shapes: ["256x64"], peaks, cpuTime, seconds: 0.02 });
    expect(rows.filter(({ chosen }) => chosen)).toHaveLength(1);
    for (const row of rows.filter(({ skipped }) => !skipped)) {
      expect(row.seconds.low).toBeLessThanOrEqual(row.seconds.median);
      expect(row.seconds.median).toBeLessThanOrEqual(row.seconds.high);
      expect(row.shareOfCopy).toBeGreaterThan(0);
      expect(row.shareOfCopy).toBeLessThan(3);
    }
  });

  it("takes medians and quartiles", () => {
    expect(spreadOf([5, 1, 3, 2, 4])).toEqual({ median: 3, low: 2, high: 4 });
    expect(spreadOf([2, 1])).toEqual({ median: 1.5, low: 1.25, high: 1.75 });
  });
});

describe("tune", () => {
  it("finds a step for each shape class in bounded time; what it found is used from then on", async () => {
    const began = performance.now();
    const few = { ...softmax, benchShapes: ["256x64", "250x63"] };
    const tuning = await tune(device, [few], { cpuTime, seconds: 2 });
    expect(performance.now() - began).toBeLessThan(20_000);
    const [choice] = tuning.choices;
    // Both shapes are of one class, which is measured once.
    expect(tuning.choices).toHaveLength(1);
    expect(choice!.seconds[choice!.step]).toBeLessThanOrEqual(
      1.02 * Math.min(...Object.values(choice!.seconds)),
    );

    expect(loadTuning(device, JSON.parse(JSON.stringify(tuning)))).toBe(1);
    const { problem } = softmax.workload("256x64");
    expect(choose(device, softmax.ladder, problem)).toMatchObject({
      step: { name: choice!.step },
      why: "measured on this adapter",
    });
    device.tuned.clear();
  });

  it("refuses what is no tuning, and another driver's", () => {
    expect(() => loadTuning(device, { version: 7 })).toThrow(/no tuning of version 1/);
    const { vendor, architecture, device: name } = device.info;
    const adapter = { vendor, architecture, device: name, description: "driver 1.0" };
    const tuning = { version: 1, adapter, made: "", choices: [] };
    expect(() => loadTuning(device, tuning)).toThrow(
      /another adapter or driver: its description is "driver 1.0"/,
    );
    expect(adapterSlug(adapter)).toMatch(/^[a-z0-9.-]+driver-1\.0$/);
  });
});
