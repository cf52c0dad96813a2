import { describe, expect, it } from "vitest";
import { sampleProfile } from "../testing/profile.js";
import { byKernel, byModule, byPhase, type ModuleNode, OUTSIDE, ratesOf, summarise } from "./aggregate.js";
import { type FlameNode, flameTree } from "./flame.js";
import { digits, formatShare, formatTime, scaled } from "./numbers.js";

const profile = sampleProfile({ layers: 2, rows: 128, dim: 32, steps: 2 });
const whole = summarise(profile);
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

describe("a profile's sums", () => {
  it("are means over the steps", () => {
    expect(whole.dispatches).toBeCloseTo(profile.steps[0]!.dispatches.length, 9);
    const seconds = profile.steps.map(({ dispatches }) => sum(dispatches.map((d) => d.duration)) / 1e9);
    expect(whole.seconds).toBeCloseTo(sum(seconds) / 2, 12);
    expect(whole.gpuSpanSeconds).toBeGreaterThan(whole.seconds);
    expect(whole.unprofiled!.mean).toBeLessThan(whole.profiled.mean);
  });

  it.each([
    ["passes", byPhase(profile)],
    ["kernels", byKernel(profile)],
    ["modules", byModule(profile).map((root) => root.total)],
  ])("are the same over all %s", (_, rows) => {
    expect(sum(rows.map((row) => row.seconds))).toBeCloseTo(whole.seconds, 12);
    expect(sum(rows.map((row) => row.flop)) / whole.flop).toBeCloseTo(1, 12);
    expect(sum(rows.map((row) => row.bytes)) / whole.bytes).toBeCloseTo(1, 12);
    expect(sum(rows.map((row) => row.dispatches))).toBeCloseTo(whole.dispatches, 9);
  });

  it("keep passes in order and leave out those that are not there", () => {
    expect(byPhase(profile).map(({ phase }) => phase)).toEqual(["forward", "backward", "optimizer", "other"]);
    const steps = profile.steps.map((step) => ({
      ...step,
      dispatches: step.dispatches.filter((d) => d.phase === "backward"),
    }));
    expect(byPhase({ ...profile, steps }).map(({ phase }) => phase)).toEqual(["backward"]);
  });

  it("list kernels by shape, the longest first", () => {
    const rows = byKernel(profile);
    expect(new Set(rows.map((row) => `${row.kernel} ${row.shape}`)).size).toBe(rows.length);
    expect(rows.map((row) => row.seconds)).toEqual(rows.map((row) => row.seconds).toSorted((a, b) => b - a));
    expect(rows.find((row) => row.kernel === "attention/3-subgroup")).toMatchObject({
      dispatches: 2,
      phases: ["forward"],
    });
  });

  it("set speeds against the peaks", () => {
    const totals = { dispatches: 1, seconds: 2, flop: 4e9, bytes: 1e9 };
    expect(ratesOf(totals, { flops: 20e9, bytesPerSecond: 5e9 })).toEqual({
      flops: 2e9,
      bytesPerSecond: 0.5e9,
      ofArithmetic: 0.1,
      ofCopy: 0.1,
    });
    expect(ratesOf({ ...totals, flop: 0 }, null)).toMatchObject({
      flops: null,
      ofArithmetic: null,
      ofCopy: null,
    });
    expect(ratesOf({ ...totals, seconds: 0 }, null)).toMatchObject({ flops: null, bytesPerSecond: null });
  });
});

describe("the tree of modules", () => {
  const roots = byModule(profile);
  const all = (node: ModuleNode): ModuleNode[] => [node, ...node.children.flatMap(all)];

  it("adds to each module what those inside it took", () => {
    for (const node of roots.flatMap(all)) {
      const inside = sum(node.children.map((child) => child.total.seconds));
      expect(node.total.seconds).toBeCloseTo(node.self.seconds + inside, 12);
      expect(sum(Object.values(node.phases))).toBeCloseTo(node.total.seconds, 12);
    }
  });

  it("has a node for every part of a path, and one for what no module called", () => {
    expect(roots.map((root) => root.path)).toEqual(["", OUTSIDE]);
    const paths = all(roots[0]!).map((node) => node.path);
    expect(paths).toContain("distilbert.transformer.layer");
    expect(paths).toContain("distilbert.transformer.layer.1.ffn.lin1");
    expect(roots[1]!.phases.optimizer).toBeGreaterThan(0);
    expect(roots[1]!.phases.forward).toBe(0);
  });
});

describe("the flame chart's tree", () => {
  const root = flameTree(profile);
  const all = (node: FlameNode): FlameNode[] => [node, ...node.children.flatMap(all)];

  it("goes from the step by pass, module and operation to the kernel", () => {
    expect(root.children.map(({ name }) => name)).toEqual(["forward", "backward", "optimizer", "other"]);
    for (const node of all(root)) {
      expect(node.children.length === 0).toBe(node.kind === "kernel");
      if (node.children.length > 0)
        expect(sum(node.children.map((child) => child.seconds))).toBeCloseTo(node.seconds, 12);
    }
  });

  it("joins modules that hold nothing but one module", () => {
    const forward = root.children[0]!.children.find(({ name }) => name === "distilbert")!;
    expect(forward.children.map(({ name }) => name)).toEqual(["embeddings", "transformer.layer"]);
    expect(forward.children[1]!.children.map(({ name }) => name)).toEqual(["0", "1"]);
    const backward = root.children[1]!.children.find(({ name }) => name === "distilbert")!;
    expect(backward.children[0]!.children.map(({ name }) => name)).toEqual(["1", "0"]);
  });
});

describe("numbers", () => {
  it("have three digits that count", () => {
    expect([0, 0.01234, 1.234, 12.34, 123.4, 1234].map(digits)).toEqual([
      "0",
      "0.0123",
      "1.23",
      "12.3",
      "123",
      "1230",
    ]);
    expect(scaled(46.04e9, "FLOP/s")).toBe("46.0 GFLOP/s");
    expect(scaled(999.9, "B")).toBe("1.00 kB");
    expect([0, 1.5, 0.0123, 0.0009999, 42e-6].map(formatTime)).toEqual([
      "0 ms",
      "1.50 s",
      "12.3 ms",
      "1.00 ms",
      "42.0 µs",
    ]);
    expect([null, 0, 0.0004, 0.123, 1, 1.5].map(formatShare)).toEqual([
      "–",
      "0.0 %",
      "0.04 %",
      "12.3 %",
      "100 %",
      "150 %",
    ]);
  });
});
