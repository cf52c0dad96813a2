/**
 * The engine in a browser: what of it a page has to load, and a real Chromium (through playwright-core) that runs it on
 * SwiftShader. That is an adapter unlike the one under Node: subgroups of 4, 256 invocations, no f16.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { decodeImage as decodeInNode } from "@wgrad/image/node";
import { CLIPImageProcessor } from "@wgrad/models";
import type { OpIndex } from "@wgrad/tensor";
import { entries } from "@wgrad/tensor/lab";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundleForBrowsers } from "./browser/bundle.ts";
import { findChromium, openPage, type Page } from "./browser/chromium.ts";
import { adaptClip } from "./browser/clip.ts";
import { trainTiny } from "./browser/training.ts";

const root = resolve(import.meta.dirname, "..");
const fixtures = join(root, "packages/cli/fixtures/ops");
const pictures = join(root, "packages/image/fixtures/files");
const reference = join(process.env.WGRAD_SHARED ?? join(root, "../shared"), "fixtures/models/clip-tiny");

/**
 * Bytes of each entry that a page which uses all of it downloads, gzipped, with everything it imports: the size of 22 November
 * 2026 and 15%. Raise one knowingly.
 */
const budgets = {
  "@wgrad/tensor": 140_000,
  "@wgrad/image": 6_200,
  "@wgrad/models": 136_000,
  "@wgrad/models/tokenizer": 22_400,
  "@wgrad/peft": 134_000,
};

describe("bundles for browsers", () => {
  it.each(Object.entries(budgets))(
    "%s needs nothing of Node and is under %d bytes",
    async (entry, budget) => {
      const bundle = await bundleForBrowsers(`export * from "${entry}";`);
      expect(bundle.nodeGlobals).toEqual([]);
      expect(bundle.gzipBytes).toBeLessThanOrEqual(budget);
    },
  );

  it("would show what comes from Node", async () => {
    const { nodeGlobals } = await bundleForBrowsers(
      "export const f = (process) => [process.pid, Buffer.from([1]), globalThis.process, typeof setImmediate];",
    );
    expect(nodeGlobals.join("\n")).toMatch(/Buffer/);
    await expect(bundleForBrowsers('export * from "node:fs";')).rejects.toThrow(/node:fs/);
    await expect(bundleForBrowsers('export * from "@wgrad/tensor/node";')).rejects.toThrow(/webgpu/);
  });
});

const executable = findChromium();
const why = executable ? "" : " (no Chromium found: install it or set CHROMIUM_PATH)";

// SwiftShader takes seconds of CPU to compile a large kernel, which is minutes on a machine that does other things besides.
const TIMEOUT = 300_000;

describe.skipIf(!executable)(`in Chromium on SwiftShader${why}`, { timeout: TIMEOUT }, () => {
  const index: OpIndex = JSON.parse(readFileSync(join(fixtures, "index.json"), "utf8"));
  let page: Page;
  beforeAll(async () => {
    page = await openPage(executable!, { ops: fixtures, pictures, clip: reference });
  });
  afterAll(() => page?.close());

  it("opens navigator.gpu", async () => {
    const adapter = await page.call("open");
    expect(adapter).toMatchObject({ architecture: "swiftshader", subgroupSize: 4, f16: false });
  });

  it("trains as Node does: the losses of ten steps of AdamW agree", async () => {
    const device = await openDevice();
    const [here, there] = [await trainTiny(device), await page.call("train")];
    device.close();
    expect(here).toHaveLength(11);
    expect(here.at(-1)).toBeLessThan(here[0]! / 2);
    for (const [step, loss] of here.entries()) expect(Math.abs(there[step]! - loss)).toBeLessThan(1e-4);
  });

  // Two adapters compile every kernel of it.
  const twice = { timeout: 2 * TIMEOUT };
  it("adapts CLIP as Node does: the losses of five steps of LoRA on both towers agree", twice, async () => {
    const device = await openDevice();
    const [here, there] = [await adaptClip(device), await page.call("adapt")];
    device.close();
    expect(here.at(-1)).toBeLessThan(here[0]! / 1.5);
    for (const [step, loss] of here.entries()) expect(Math.abs(there[step]! - loss)).toBeLessThan(1e-4);
  });

  const noReference = !existsSync(reference);
  it.skipIf(noReference)(
    `computes CLIP, its loss and all gradients as PyTorch does${noReference ? ` (skipped: no ${reference})` : ""}`,
    async () => {
      const errors = Object.entries(await page.call("checkClip"));
      expect(errors.length).toBeGreaterThan(70);
      expect(errors.filter(([, error]) => !(error <= 1))).toEqual([]);
    },
  );

  // Lossless formats leave nothing to choose. Chromium's decoders of the others are those of Node as of today, to the bit.
  it.each([
    ...["tiny_5x3.png", "one_pixel.png", "bilevel.png", "la.png", "palette_transparent.png", "rgb16.png"],
    ...["lossless.webp", "animated.gif", "plain.bmp"],
    ...["tiny0.jpg", "gray.jpg", "exif_rotated.jpg", "cmyk.jpg", "lossy.webp"],
  ])("decodes %s as Node does, and CLIP's processor takes it from there", async (file) => {
    const size = 32;
    const levels = /jpg|lossy/.test(file) ? 2 : 0;
    const there = await page.call("picture", file, size);
    if ("refused" in there) throw new Error(there.refused);
    const here = await decodeInNode(join(pictures, file));
    expect([there.width, there.height]).toEqual([here.width, here.height]);
    const { pixelValues } = new CLIPImageProcessor({ size, cropSize: size }).preprocess(here);
    const worst = (got: ArrayLike<number>, want: ArrayLike<number>) =>
      Array.from(got).reduce((most, value, i) => Math.max(most, Math.abs(value - want[i]!)), 0);
    expect(worst(Buffer.from(there.data, "base64"), here.data)).toBeLessThanOrEqual(levels);
    const values = new Float32Array(Uint8Array.from(Buffer.from(there.pixelValues, "base64")).buffer);
    expect(values).toHaveLength(3 * size ** 2);
    // A level is 1 / 255 / 0.26 of a normalised value.
    expect(worst(values, pixelValues)).toBeLessThanOrEqual((levels + 0.01) / 255 / 0.26);
  });

  it("refuses what is no picture, or ends too early", async () => {
    expect(await page.call("picture", "not_an_image.jpg", 32)).toEqual({ refused: "E_IMAGE_DECODE" });
    expect(await page.call("picture", "header_only.png", 32)).toEqual({ refused: "E_IMAGE_DECODE" });
  });

  it.each(Object.entries(index.ops))("computes %s as PyTorch does", async (op, { cases }) => {
    const [report] = await page.call("verify", [op]);
    expect(report?.failures).toEqual([]);
    expect(report?.passed).toBe(cases.length);
  });

  it.each(entries.map(({ ladder }) => ladder.op))("computes %s with every step of its ladder", async (op) => {
    const results = await page.call("check", op);
    expect(results.filter(({ status }) => status === "failed")).toEqual([]);
    const passed = new Set(results.filter(({ status }) => status === "passed").map(({ step }) => step));
    // A step that ran on no shape needs what this adapter lacks, and says what.
    for (const { step, reason } of results) if (!passed.has(step)) expect(reason).toMatch(/^needs /);
    expect(passed.size).toBeGreaterThan(0);
  });

  it("leaves no tensor behind", async () => {
    expect(await page.call("live")).toEqual({ tensors: 0, buffers: 0 });
  });
});
