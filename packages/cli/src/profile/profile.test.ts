/** `wgrad profile` on a small model, in a real process. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeTinyData, makeTinyModel, wgrad } from "../testing/process.js";

let place: string;
let recipe: string;

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-profile-"));
  const model = await makeTinyModel(join(place, "model"));
  const data = makeTinyData(join(place, "data"));
  recipe = join(place, "recipe.yaml");
  const lines = { model, dataset: data, per_device_train_batch_size: 8, output_dir: join(place, "run") };
  writeFileSync(
    recipe,
    Object.entries(lines)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
  );
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

interface Row {
  seconds: number;
  share: number;
  dispatches: number;
}

const sum = (rows: readonly Row[], key: keyof Row) => rows.reduce((total, row) => total + row[key], 0);

describe("profile", () => {
  it("times a recipe's steps by pass, module and kernel, and writes page and trace", async () => {
    const [html, trace] = [join(place, "page.html"), join(place, "trace.json")];
    const counts = ["--steps", "2", "--warmup", "2"];
    const done = await wgrad(["profile", recipe, ...counts, "--html", html, "--trace", trace, "--json"]);
    expect(done.err).not.toMatch(/^wgrad:/m);
    expect(done.code).toBe(0);
    const document = JSON.parse(done.out);
    const { step, passes, kernels, modules, peaks, timing } = document;
    expect(timing).toBe("dispatch");
    expect(step.submissions).toBe(1);
    expect(step.host_seconds.mean).toBeGreaterThan(0);
    expect(step.peak_live_bytes).toBeGreaterThan(0);
    expect(peaks.flops_per_second).toBeGreaterThan(1e8);
    expect(passes.map(({ pass }: { pass: string }) => pass)).toEqual(
      expect.arrayContaining(["forward", "backward", "optimizer"]),
    );
    for (const rows of [passes, kernels]) {
      expect(sum(rows, "seconds")).toBeCloseTo(step.seconds, 9);
      expect(sum(rows, "share")).toBeCloseTo(1, 9);
      expect(sum(rows, "dispatches")).toBeCloseTo(step.dispatches, 6);
    }
    // Dispatches lie inside of the step that was timed on the host.
    expect(step.seconds).toBeLessThanOrEqual(step.gpu_span_seconds);
    expect(step.gpu_span_seconds).toBeLessThan(step.profiled_seconds.mean);
    expect(modules.map(({ module }: { module: string }) => module)).toEqual(
      expect.arrayContaining(["", "distilbert.embeddings", "distilbert.transformer.layer.0.attention"]),
    );
    const page = readFileSync(html, "utf8");
    expect(page).toContain('class="flame"');
    expect(page).toContain("1 layers of 32, 8 examples");
    const { traceEvents } = JSON.parse(readFileSync(trace, "utf8"));
    const onGpu = traceEvents.filter(
      ({ ph, pid, tid }: Record<string, unknown>) => ph === "X" && pid === 1 && tid === 2,
    );
    expect(onGpu).toHaveLength(2 * step.dispatches);
    // Nothing of the training itself is written.
    expect(existsSync(join(place, "run"))).toBe(false);
  });

  it("prints tables, with what flags change", async () => {
    const args = ["--steps", "1", "--warmup", "1", "--no-capture", "--top", "3", "--depth", "1"];
    const done = await wgrad(["profile", recipe, ...args, "--per-device-train-batch-size", "4"]);
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^A training step of .*4 examples/);
    expect(done.out).toMatch(/^step +unprofiled [\d.]+ m?s .*, profiled [\d.]+ m?s/m);
    expect(done.out).toMatch(/arithmetic peak of [\d.]+ [GT]FLOP\/s/);
    expect(done.out).toMatch(/^pass +time +share +calls/m);
    expect(done.out).toMatch(/^backward +[\d.]+ [mµ]s +[\d.]+ %/m);
    expect(done.out).toMatch(/^ {2}distilbert +/m);
    expect(done.out).not.toMatch(/^ {4}embeddings/m);
    expect(done.out).toMatch(/^… and \d+ more, [\d.]+ m?s \(--top \d+\)/m);
  });

  it("says what is wrong before it measures anything", async () => {
    const missing = await wgrad(["profile", join(place, "none.yaml")]);
    expect(missing.code).toBe(2);
    expect(missing.err).toContain("there is no such recipe");
    const none = await wgrad(["profile", recipe, "--steps", "0"]);
    expect(none.code).toBe(2);
    const kernel = await wgrad(["profile", recipe, "--kernel", "matmul=none.wgsl"]);
    expect(kernel.code).toBe(2);
    expect(kernel.err).toContain("there is no such WGSL file");
  });
});
