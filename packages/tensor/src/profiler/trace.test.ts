import { describe, expect, it } from "vitest";
import { sampleProfile } from "../testing/profile.js";
import { chromeTrace, type TraceEvent } from "./trace.js";

const profile = sampleProfile({ layers: 2, rows: 128, dim: 32, steps: 2 });
const { traceEvents, displayTimeUnit } = chromeTrace(profile);
const slices = traceEvents.filter((event) => event.ph === "X");
const track = (pid: number, tid: number) => slices.filter((event) => event.pid === pid && event.tid === tid);
const endOf = (event: TraceEvent) => event.ts + event.dur!;
/** Half a nanosecond: times are written in microseconds with three digits. */
const ROUNDING = 5e-4;

describe("a Chrome trace", () => {
  it("has the fields that Perfetto reads", () => {
    expect(displayTimeUnit).toBe("ms");
    for (const event of traceEvents) {
      expect(event.name).not.toBe("");
      expect(Number.isInteger(event.pid) && Number.isInteger(event.tid)).toBe(true);
      expect(event.ts).toBeGreaterThanOrEqual(0);
      if (event.ph === "X") expect(event.dur).toBeGreaterThanOrEqual(0);
      else expect(event.args!.name).toEqual(expect.any(String));
    }
    expect(JSON.parse(JSON.stringify(traceEvents))).toEqual(traceEvents);
  });

  it("names every track that has slices", () => {
    const named = traceEvents
      .filter(({ name }) => name === "thread_name")
      .map(({ pid, tid }) => `${pid} ${tid}`);
    expect(new Set(slices.map(({ pid, tid }) => `${pid} ${tid}`))).toEqual(new Set(named));
  });

  it("has a slice for each dispatch, one after the other", () => {
    const kernels = track(1, 2);
    expect(kernels).toHaveLength(profile.steps.reduce((sum, step) => sum + step.dispatches.length, 0));
    kernels.slice(1).forEach((event, i) => {
      expect(event.ts).toBeGreaterThanOrEqual(endOf(kernels[i]!) - ROUNDING);
    });
    const first = profile.steps[0]!.dispatches[0]!;
    expect(kernels[0]).toMatchObject({
      name: first.kernel,
      args: { module: first.module, shape: first.shape },
    });
  });

  it.each([
    ["passes and modules", 1, 1],
    ["the host", 2, 1],
  ])("nests the slices of %s", (_, pid, tid) => {
    const open: TraceEvent[] = [];
    for (const event of track(pid, tid)) {
      while (open.length > 0 && endOf(open.at(-1)!) <= event.ts + ROUNDING) open.pop();
      const outer = open.at(-1);
      if (outer) expect(endOf(event)).toBeLessThanOrEqual(endOf(outer) + ROUNDING);
      open.push(event);
    }
    expect(track(pid, tid).length).toBeGreaterThan(profile.steps.length);
  });

  it("puts modules under their pass and its modules", () => {
    const [pass, ...rest] = track(1, 1);
    expect(pass!.name).toBe("forward");
    const inside = rest.filter((event) => event.ts < endOf(pass!)).map(({ name }) => name);
    expect(inside).toEqual(
      expect.arrayContaining(["distilbert", "transformer", "layer", "0", "attention", "q_lin", "classifier"]),
    );
  });

  it("holds the host's steps where dispatches are not timed", () => {
    const untimed = chromeTrace(sampleProfile({ timed: false })).traceEvents.filter(({ ph }) => ph === "X");
    expect(new Set(untimed.map(({ pid }) => pid))).toEqual(new Set([2]));
  });
});
