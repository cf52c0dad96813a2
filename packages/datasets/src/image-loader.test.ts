import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { applyTransforms, type Normalization, type Transform, toPixelValues } from "@wgrad/image";
import { decodeImage } from "@wgrad/image/node";
import { describe, expect, onTestFinished, test } from "vitest";
import { Dataset } from "./dataset.js";
import { DatasetError } from "./errors.js";
import { Image } from "./features.js";
import { ImageLoader, type ImageLoaderOptions } from "./image-loader.js";
import { ImageWorkers } from "./image-workers.js";
import type { EncodedImage } from "./images/encoded-image.js";
import { outputSize, withoutChance } from "./images/transform-lists.js";
import { sampleRandom } from "./random.js";
import { temporaryFolder } from "./testing/helpers.js";
import { rgbPng } from "./testing/images.js";

const normalization: Normalization = { rescaleFactor: 1 / 255, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] };
const random: Transform[] = [
  { type: "randomResizedCrop", size: 12, interpolation: "bicubic" },
  { type: "randomHorizontalFlip" },
  { type: "colorJitter", brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
];
const fixed: Transform[] = [
  { type: "resize", size: 16, interpolation: "bicubic" },
  { type: "centerCrop", size: 14 },
];
const images: EncodedImage[] = Array.from({ length: 20 }, (_, i) => ({
  bytes: rgbPng(20 + (i % 3), 18 + (i % 4), i),
  path: null,
}));
const indices = images.map((_, i) => 100 + 7 * i);

function loaderOf(options: Partial<ImageLoaderOptions> = {}): ImageLoader {
  const loader = new ImageLoader({ transforms: fixed, normalization, ...options });
  onTestFinished(() => loader.close());
  return loader;
}

async function rejection(promise: Promise<unknown>): Promise<DatasetError> {
  const thrown = await promise.then(
    () => new Error("it did not reject"),
    (error: unknown) => error,
  );
  if (thrown instanceof DatasetError) return thrown;
  throw thrown;
}

const broken: EncodedImage = { bytes: rgbPng(20, 20).slice(0, 300), path: "half.png" };

describe("the same bits", () => {
  test("whatever the number of workers and the order of asking", async () => {
    const context = { indices, epoch: 3, training: true };
    const outcomes: Float32Array[] = [];
    for (const numWorkers of [0, 1, 2, 4]) {
      const loader = loaderOf({
        transforms: random,
        numWorkers,
        seed: 5,
        maxInFlight: numWorkers === 2 ? 3 : 32,
      });
      const { pixelValues, shape, ok } = await loader.load(images, context);
      expect(shape).toEqual([20, 3, 12, 12]);
      expect(ok).toEqual(Array(20).fill(true));
      outcomes.push(pixelValues);
      if (numWorkers !== 2) continue;
      // Two batches at once, rows the other way round.
      const [last, first] = await Promise.all([
        loader.load(images.slice(10).reverse(), { ...context, indices: indices.slice(10).reverse() }),
        loader.load(images.slice(0, 10), { ...context, indices: indices.slice(0, 10) }),
      ]);
      const size = 3 * 12 * 12;
      const reversed = Array.from({ length: 10 }, (_, i) =>
        Array.from(last.pixelValues.subarray((9 - i) * size, (10 - i) * size)),
      );
      outcomes.push(Float32Array.from([...first.pixelValues, ...reversed.flat()]));
    }
    for (const other of outcomes.slice(1)) expect(other).toEqual(outcomes[0]);
  });

  test("as decoding, transforming and normalising them by hand", async () => {
    const loader = loaderOf({ transforms: [...fixed, random[1]!], seed: 2 });
    const { pixelValues } = await loader.load(images.slice(0, 3), {
      indices: [4, 5, 6],
      epoch: 1,
      training: true,
    });
    const size = 3 * 14 * 14;
    for (const [i, { bytes }] of images.slice(0, 3).entries()) {
      const transforms = [...fixed, random[1]!];
      const image = applyTransforms(await decodeImage(bytes!), transforms, sampleRandom(2, 1, 4 + i));
      expect(pixelValues.subarray(i * size, (i + 1) * size)).toEqual(toPixelValues(image, normalization));
    }
  });

  test("another seed, epoch or row draws other numbers; outside of training nothing is drawn", async () => {
    const one = images.slice(0, 1);
    const loader = loaderOf({ transforms: random, numWorkers: 1 });
    const other = loaderOf({ transforms: random, numWorkers: 1, seed: 1 });
    const at = async (from: ImageLoader, row: number, epoch: number, training = true): Promise<string> =>
      (await from.load(one, { indices: [row], epoch, training })).pixelValues.join();
    const drawn = [at(loader, 0, 0), at(loader, 1, 0), at(loader, 0, 1), at(other, 0, 0)];
    expect(new Set(await Promise.all(drawn)).size).toBe(4);
    const still = [at(loader, 0, 0, false), at(loader, 1, 1, false), at(other, 0, 0, false)];
    expect(new Set(await Promise.all(still)).size).toBe(1);
  });
});

test("transforms without chance, and the size that they end in", () => {
  expect(withoutChance([...random, fixed[0]!])).toEqual([
    { type: "resize", size: 12, interpolation: "bicubic" },
    { type: "centerCrop", size: 12 },
    fixed[0],
  ]);
  expect(withoutChance([{ type: "randomResizedCrop", size: [4, 6] }])).toEqual([
    { type: "resize", size: [4, 6] },
  ]);
  expect(outputSize(random)).toEqual([12, 12]);
  expect(outputSize([{ type: "resize", size: [4, 6] }, random[1]!])).toEqual([4, 6]);
  expect(outputSize([{ type: "resize", size: 4 }])).toBeNull();
});

describe("pictures that cannot be read", () => {
  const mixed = [images[0]!, broken, { bytes: null, path: "/nowhere.png" }, images[1]!];

  test("an error that names data set and row", async () => {
    const loader = loaderOf({ name: "photos (train)", numWorkers: 1 });
    const error = await rejection(loader.load(mixed, { indices: [7, 8, 9, 10] }));
    expect(error.code).toBe("E_IMAGE");
    expect(error.message).toContain("photos (train), row 8: the picture cannot be read:");
    expect(error.detail).toEqual({ row: 8, code: expect.stringMatching(/^E_IMAGE_/) });
    const missing = await rejection(loader.load([{ bytes: null, path: "/nowhere.png" }], { indices: [0] }));
    expect(missing.message).toContain("/nowhere.png");
    const empty = await rejection(loader.load([null], { indices: [3] }));
    expect(empty.message).toContain("row 3: the picture cannot be read: it holds no picture");
    // It goes on with good ones.
    expect((await loader.load(images.slice(0, 2), { indices: [0, 1] })).ok).toEqual([true, true]);
  });

  test("zeros that are counted", async () => {
    const loader = loaderOf({ onError: "skip" });
    const { pixelValues, ok, shape } = await loader.load(mixed, { indices: [7, 8, 9, 10] });
    expect(ok).toEqual([true, false, false, true]);
    expect(loader.skipped).toBe(2);
    const size = pixelValues.length / 4;
    expect(pixelValues.subarray(size, 3 * size).every((value) => value === 0)).toBe(true);
    expect(pixelValues.subarray(0, size).some((value) => value !== 0)).toBe(true);
    const none = await loader.load([broken], { indices: [1] });
    expect(none.shape).toEqual([1, ...shape.slice(1)]);
  });

  test("sizes that differ, where no transform makes them one", async () => {
    const loader = loaderOf({ transforms: [], numWorkers: 0 });
    const error = await rejection(loader.load(images.slice(0, 2), { indices: [0, 1] }));
    expect(error.message).toContain("End the transforms with centerCrop");
    expect((await loader.load(images.slice(0, 1), { indices: [0] })).shape).toEqual([1, 3, 18, 20]);
    const skipping = loaderOf({ transforms: [], numWorkers: 0, onError: "skip" });
    expect((await rejection(skipping.load([broken], { indices: [0] }))).message).toContain("size is unknown");
  });
});

describe("batches", () => {
  const dataset = Dataset.fromDict({ image: images, label: indices }, { image: new Image() });

  test("in order, some ahead, and no more pictures at once than allowed", async () => {
    const loader = loaderOf({ maxInFlight: 5 });
    const seen: number[] = [];
    for await (const { indices: rows, shape } of loader.batches(dataset, { batchSize: 6, ahead: 3 })) {
      // Three batches of 6 were asked for ahead of this one.
      if (seen.length === 0) expect(loader.statistics.images).toBe(20);
      expect(shape[0]).toBe(rows.length);
      seen.push(...rows);
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(loader.statistics.peakInFlight).toBe(5);
    const chosen = loader.batches(dataset, { batchSize: 4, indices: [3, 1] });
    const { value } = await chosen.next();
    expect(value!.indices).toEqual([3, 1]);
    const wrong = loader.batches(dataset, { batchSize: 4, column: "picture" }).next();
    expect((await rejection(wrong)).code).toBe("E_COLUMN_UNKNOWN");
  });

  test("memory is used again where it was given back, without the pixels of before", async () => {
    const loader = loaderOf({ onError: "skip" });
    const first = await loader.load(images.slice(0, 2), { indices: [0, 1] });
    loader.release(first);
    const second = await loader.load([images[3]!, broken], { indices: [3, 4] });
    expect(second.pixelValues.buffer).toBe(first.pixelValues.buffer);
    expect(second.pixelValues.subarray(second.pixelValues.length / 2).every((value) => value === 0)).toBe(
      true,
    );
    const buffers = new Set<ArrayBufferLike>();
    for await (const batch of loader.batches(dataset, { batchSize: 2, ahead: 1, reuse: true }))
      buffers.add(batch.pixelValues.buffer);
    expect(buffers.size).toBeLessThanOrEqual(3);
    const { pixelValues } = await loader.load(images.slice(0, 2), { indices: [0, 1] });
    expect(pixelValues.buffer).not.toBe(second.pixelValues.buffer);
  });

  test("the bytes of the rows stay where they are", async () => {
    const whole = new Uint8Array(1000).fill(9);
    const bytes = rgbPng(4, 4);
    whole.set(bytes, 10);
    const view = whole.subarray(10, 10 + bytes.length);
    const loader = loaderOf({ numWorkers: 1 });
    await loader.load([{ bytes: view, path: null }], { indices: [0] });
    expect(whole.length).toBe(1000);
    expect(new Uint8Array(view)).toEqual(bytes);
  });
});

describe("the cache", () => {
  const files = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".px"))
      .map((name) => join(folder, name));

  test("a second loader decodes nothing and gives the same bits", async () => {
    const cacheDir = temporaryFolder();
    const transforms = [...fixed, ...random];
    const context = { indices, epoch: 1, training: true };
    const plain = await loaderOf({ transforms }).load(images, context);
    const first = loaderOf({ transforms, cacheDir });
    expect((await first.load(images, context)).pixelValues).toEqual(plain.pixelValues);
    expect(files(cacheDir)).toHaveLength(20);
    // Header and 14 x 14 RGB pixels.
    expect(first.statistics).toMatchObject({ cacheHits: 0, cacheBytes: 20 * (48 + 14 * 14 * 3) });
    const second = loaderOf({ transforms, cacheDir, numWorkers: 1 });
    expect((await second.load(images, context)).pixelValues).toEqual(plain.pixelValues);
    expect(second.statistics).toMatchObject({ cacheHits: 20, cacheBytes: first.statistics.cacheBytes });
    // Other transforms find nothing there.
    const other = loaderOf({
      transforms: fixed.slice(0, 1),
      cacheDir,
      evalTransforms: [{ type: "resize", size: [9, 9] }],
    });
    await other.load(images.slice(0, 2), { indices: [0, 1] });
    expect(other.statistics.cacheHits).toBe(0);
  });

  test.each<[string, (bytes: Buffer) => Uint8Array]>([
    ["another pixel", (bytes) => Buffer.from(bytes).fill(bytes[60]! ^ 1, 60, 61)],
    ["cut short", (bytes) => bytes.subarray(0, 300)],
    ["empty", () => new Uint8Array()],
    ["another size", (bytes) => Buffer.from(bytes).fill(7, 8, 9)],
  ])("a damaged entry is made again: %s", async (_, spoil) => {
    const cacheDir = temporaryFolder();
    const one = images.slice(0, 1);
    const loader = loaderOf({ cacheDir, numWorkers: 0 });
    const good = await loader.load(one, { indices: [0] });
    const [file] = files(cacheDir);
    const written = readFileSync(file!);
    writeFileSync(file!, spoil(written));
    expect((await loader.load(one, { indices: [0] })).pixelValues).toEqual(good.pixelValues);
    expect(loader.statistics.cacheDamaged).toBe(1);
    expect(readFileSync(file!)).toEqual(written);
    await loader.load(one, { indices: [0] });
    expect(loader.statistics.cacheHits).toBe(1);
  });

  test("grows no further than allowed, and does without where it cannot be written", async () => {
    const cacheDir = temporaryFolder();
    const loader = loaderOf({ cacheDir, cacheBytes: 1000, numWorkers: 0, maxInFlight: 1 });
    for (const [i, image] of images.slice(0, 5).entries()) await loader.load([image], { indices: [i] });
    expect(files(cacheDir)).toHaveLength(2);
    const blocked = join(cacheDir, "file");
    writeFileSync(blocked, "");
    const other = loaderOf({ cacheDir: blocked, numWorkers: 0 });
    expect((await other.load(images.slice(0, 2), { indices: [0, 1] })).ok).toEqual([true, true]);
    expect(other.statistics.cacheError).toMatch(/EEXIST|ENOTDIR/);
  });
});

describe("threads", () => {
  const task = { bytes: null, path: "a", row: 0, epoch: 0, training: false, store: false };
  const settings = {
    transforms: { training: [], evaluation: [] },
    normalization,
    decode: {},
    cacheDir: null,
    seed: 0,
  };

  test.each([
    ["throw new Error('out of luck')", "out of luck"],
    ["process.exit(3)", "exit code 3"],
  ])("one that ends says so, and the next picture has a new one: %s", async (code, why) => {
    const file = join(temporaryFolder(), "dies.mjs");
    writeFileSync(
      file,
      `import { parentPort } from "node:worker_threads";
       parentPort.on("message", ([job]) => {
         if (job.path === "bad") { ${code} }
         else setTimeout(() => parentPort.postMessage([{ id: job.id, ok: false, code: "E", message: "m" }]), 5);
       });`,
    );
    const workers = new ImageWorkers(settings, 1, 8, pathToFileURL(file));
    onTestFinished(() => workers.close());
    const lost = workers.run({ ...task, path: "bad" });
    const error = await rejection(lost);
    expect(error.code).toBe("E_IMAGE_WORKER");
    expect(error.message).toContain(`a thread that decodes pictures ended: ${why}`);
    expect(await workers.run(task)).toMatchObject({ ok: false, message: "m" });
    rmSync(file);
  });

  test("closing rejects what is still waiting, and what comes later", async () => {
    const loader = loaderOf({ numWorkers: 1, maxInFlight: 2 });
    const waiting = rejection(loader.load(images, { indices }));
    await loader.close();
    expect((await waiting).message).toContain("the loader is closed");
    expect((await rejection(loader.load(images, { indices }))).code).toBe("E_IMAGE_WORKER");
    await loader.close();
  });
});

test("options that make no sense", async () => {
  expect(() => loaderOf({ numWorkers: -1 })).toThrow("numWorkers is -1");
  expect(() => loaderOf({ maxInFlight: 0 })).toThrow("maxInFlight is 0");
  expect(() => loaderOf({ transforms: [{ type: "resize", size: 0 }] })).toThrow("transforms[0] (resize)");
  expect(() => loaderOf({ normalization: { ...normalization, std: [0, 1, 1] } })).toThrow("std is [0, 1, 1]");
  const error = await rejection(loaderOf().load(images, { indices: [1] }));
  expect(error.message).toContain("indices is of length 1");
});
