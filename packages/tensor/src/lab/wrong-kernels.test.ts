/** Kernels as users write them: plain ones that are right are taken, and the usual mistakes are found. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import tile from "../ops/matmul/2-tile.wgsl";
import { entryOf } from "./check.js";
import { entries } from "./entries.js";
import { checkOwnKernel, describeOwnKernel, ownKernel } from "./own-kernel.js";

const matmul = entryOf(entries, "matmul");

/** A file of the user's own: matmul by tiles in workgroup memory, with one thing changed. */
function changed(name: string, from: string | RegExp, to: string) {
  const source = tile.replace(from, to);
  expect(source, `${name} must differ`).not.toBe(tile);
  return ownKernel(`${name}.wgsl`, source);
}

/** Without types and epilogues of their own, each of which would be one program more to compile for each mistake. */
const shapes = matmul.checkShapes.filter((shape) => !/16|mixed|elu|addend|slope|sums|\d{4}/.test(shape));

const barrier = /\n\s*workgroupBarrier\(\);/;
const last = /\n\s*workgroupBarrier\(\);(?=\s*\})/;

describe("a matmul of one's own", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  it("is taken where it is right", async () => {
    const report = await checkOwnKernel(device, matmul, ownKernel("tiled.wgsl", tile));
    expect(describeOwnKernel(report)).toMatch(/^tiled\.wgsl: right on all \d+ shapes of matmul/);
    expect(report.ok).toBe(true);
  });

  it.each([
    ["stops a tile too early", "k < params.k; k += TILE", "k + TILE < params.k; k += TILE"],
    ["begins at the second tile", "var k = 0u; k < params.k", "var k = TILE; k < params.k"],
    [
      "stores a tile too far to the right",
      "store(batch, row, column, sum)",
      "store(batch, row, column + TILE, sum)",
    ],
    ["lacks the barrier after loading", barrier, ""],
    ["lacks the barrier before the next load", last, ""],
    ["writes its result transposed", "store(batch, row, column, sum)", "store(batch, column, row, sum)"],
    [
      "reads a transposed",
      "row * params.a_row + (k + local.x) * params.a_k",
      "row * params.a_k + (k + local.x) * params.a_row",
    ],
    ["forgets the bias", "bias_at(column)", "0.0"],
  ])("is refused where it %s", async (name, from, to) => {
    const report = await checkOwnKernel(device, matmul, changed(name, from, to), { shapes });
    expect(report.ok).toBe(false);
    expect(report.failed.length).toBeGreaterThan(0);
    expect(describeOwnKernel(report)).toMatch(
      /is wrong on \d+ of \d+ shapes of matmul[^\n]*\n {2}matmul \S+: \w+\[[\d, ]+\] is \S+, expected \S+ \(|is NaN, expected/,
    );
  });
});

describe("templates", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  it.each(entries.map((entry) => [entry.ladder.op, entry] as const))("of %s are right", async (op, entry) => {
    const report = await checkOwnKernel(device, entry, ownKernel(`${op}.wgsl`, entry.contract.template), {
      repeats: 1,
      // Every third: a program is compiled for each set of flags, and templates are steps that are checked in full elsewhere.
      shapes: entry.checkShapes.filter((_, i) => i % 3 === 0),
    });
    expect(describeOwnKernel(report)).toMatch(/: right on all \d+ shapes of /);
  });
});
