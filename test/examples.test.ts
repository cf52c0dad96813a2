// The examples run as a reader would run them, and the gradient of the one with its own kernel is right.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CLIPImageProcessor, CLIPModel, clipConfig } from "@wgrad/models";
import { fromConfig, savePretrained } from "@wgrad/models/node";
import { type Device, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configJson, SIZE, tokenizerFiles } from "./clip/tiny-clip.ts";

const examples = resolve(fileURLToPath(import.meta.url), "../../examples");
const folder = resolve(examples, "own-kernel");

/** What an example prints. */
function runExample(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    timeout: 120_000,
  });
  expect(status, stderr).toBe(0);
  return stdout;
}

describe("examples/own-kernel", () => {
  let device: Device;
  let snake: (x: Tensor, a: Tensor) => Tensor;
  beforeAll(async () => {
    device = await openDevice();
    ({ snake } = (await import(pathToFileURL(resolve(folder, "snake.mjs")).href)) as { snake: typeof snake });
  });
  afterAll(() => device.close());

  const points = Float32Array.from({ length: 12 }, (_, i) => Math.sin(5 * i) * 2);
  const frequencies = [0.5, 1, 2];
  const formula = (x: number, a: number) => x + Math.sin(a * x) ** 2 / a;
  const weights = Float32Array.from({ length: 12 }, (_, i) => Math.cos(3 * i));
  /** The loss that the gradients below are of. */
  const loss = (x: ArrayLike<number>, a: readonly number[]) =>
    Array.from(x).reduce((total, v, i) => total + weights[i]! * formula(v, a[i % 3]!), 0);

  it("computes its formula and, by finite differences, its gradient", async () => {
    const x = Tensor.from(device, points, [4, 3], { requiresGrad: true });
    const a = Tensor.from(device, Float32Array.from(frequencies), [3], { requiresGrad: true });
    const y = snake(x, a);
    (await y.toArray()).forEach((value, i) => {
      expect(value).toBeCloseTo(formula(points[i]!, frequencies[i % 3]!), 5);
    });
    y.backward({ gradient: Tensor.from(device, weights, [4, 3]) });
    const h = 1e-5;
    const dx = await x.grad!.toArray();
    points.forEach((_, i) => {
      const moved = (by: number) =>
        loss(
          Array.from(points, (v, j) => (j === i ? v + by : v)),
          frequencies,
        );
      expect(dx[i]).toBeCloseTo((moved(h) - moved(-h)) / (2 * h), 4);
    });
    const da = await a.grad!.toArray();
    frequencies.forEach((_, i) => {
      const moved = (by: number) =>
        loss(
          points,
          frequencies.map((v, j) => (j === i ? v + by : v)),
        );
      expect(da[i]).toBeCloseTo((moved(h) - moved(-h)) / (2 * h), 4);
    });
  });

  it("takes views, and an expanded gradient", async () => {
    const stored = Tensor.from(device, points, [3, 4], { requiresGrad: true });
    const a = Tensor.from(device, Float32Array.from(frequencies), [3]);
    const y = snake(stored.transpose(0, 1), a);
    expect((await y.toArray())[1]).toBeCloseTo(formula(points[4]!, frequencies[1]!), 5);
    y.sum().backward();
    expect((await stored.grad!.toArray())[4]).toBeCloseTo(1 + Math.sin(2 * frequencies[1]! * points[4]!), 5);
  });

  it("trains when run as a program", () => {
    const stdout = runExample(resolve(folder, "main.mjs"));
    const losses = stdout.match(/loss [\d.]+/g)!.map((text) => Number(text.slice(5)));
    expect(losses).toHaveLength(5);
    expect(losses[4]).toBeLessThan(losses[0]! / 50);
  });
});

describe("packages/models/README.md", () => {
  it("shows how to ask a CLIP, and that runs", async () => {
    const readme = readFileSync(resolve(examples, "../packages/models/README.md"), "utf8");
    const [, block = ""] = /## CLIP\n[\s\S]*?```js\n([\s\S]*?)```/.exec(readme) ?? [];
    const place = mkdtempSync(join(tmpdir(), "wgrad-readme-"));
    const device = await openDevice();
    const model = fromConfig(CLIPModel, device, clipConfig(configJson));
    await savePretrained(model, place);
    device.close();
    const processor = new CLIPImageProcessor({ size: SIZE, cropSize: SIZE }).toFiles();
    const files = { ...tokenizerFiles, ...processor };
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(place, name), typeof content === "string" ? content : JSON.stringify(content));
    const picture = resolve(examples, "../packages/image/fixtures/files/tiny0.jpg");
    const script = block.replace("openai/clip-vit-base-patch16", place).replace("photo.jpg", picture);
    const stdout = runExample("--input-type=module", "-e", script);
    rmSync(place, { recursive: true });
    expect(stdout).toMatch(/\[ 'cat', 'dog', 'car' \] \[ \[ [\d.]+, [\d.]+, [\d.]+ \] \]/);
  });
});

describe("examples/clip-zero-shot", () => {
  it("trains a CLIP on drawn pictures that names new ones", () => {
    const stdout = runExample(resolve(examples, "clip-zero-shot/main.mjs"));
    const answers = [...stdout.matchAll(/^(\w+ \w+): (\w+ \w+) \((\d+)/gm)];
    expect(answers).toHaveLength(6);
    for (const [, picture, answer, percent] of answers) {
      expect(answer).toBe(picture);
      expect(Number(percent)).toBeGreaterThan(50);
    }
  });
});
