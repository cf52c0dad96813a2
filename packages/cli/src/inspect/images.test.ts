import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataset, Image } from "@wgrad/datasets";
import { encodePng } from "@wgrad/image/node";
import { expect, onTestFinished, test } from "vitest";
import { wgrad } from "../testing/process.js";
import { describeImage, formatImageStatistics, imageColumnOf, imageStatistics } from "./images.js";

const picture = (width: number, height: number): Promise<Uint8Array> =>
  encodePng({ data: new Uint8Array(width * height * 3).fill(90), width, height });

test("sizes, modes and bytes of a column, and what of it cannot be read", async () => {
  const [small, wide] = [await picture(4, 4), await picture(6, 4)];
  const image = [
    { bytes: small, path: "a.png" },
    { bytes: wide, path: null },
    { bytes: small, path: "b.png" },
    { bytes: null, path: "/nowhere.png" },
    null,
  ];
  const dataset = Dataset.fromDict({ id: image.map((_, i) => i), image }, { image: new Image() });
  expect(imageColumnOf(dataset)).toBe("image");
  expect(imageColumnOf(Dataset.fromDict({ text: ["a"] }))).toBeNull();
  const found = imageStatistics(dataset, "image");
  expect(found).toMatchObject({
    pictures: 5,
    sizes: { "4 x 4": 2, "6 x 4": 1 },
    modes: { RGB: 3 },
    formats: { PNG: 3 },
    missing: 1,
    unreadable: 1,
  });
  expect(formatImageStatistics("image", 5, found)).toEqual([
    "image: 4 x 4 (2), 6 x 4 (1); mode RGB (3); PNG (3)",
    expect.stringMatching(/^image: \d+ to \d+ bytes, mean \d+$/),
    "1 rows have no picture",
    "1 pictures cannot be read",
  ]);
  expect(describeImage(image[0])).toEqual({
    path: "a.png",
    format: "PNG",
    width: 4,
    height: 4,
    mode: "RGB",
    bytes: small.length,
  });
  expect(describeImage(image[3])).toEqual({ path: "/nowhere.png", unreadable: true });
  expect(describeImage(null)).toBeNull();
});

test("the command, on a folder of pictures by class with their names beside it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-inspect-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [i, name] of ["n01/a.png", "n01/b.png", "n02/c.png"].entries()) {
    mkdirSync(join(folder, name.slice(0, 3)), { recursive: true });
    writeFileSync(join(folder, name), await picture(5 + i, 5));
  }
  writeFileSync(join(folder, "words.txt"), "n01\tgoldfish, Carassius auratus\nn02\tbullfrog\n");
  const { out } = await wgrad(["inspect", folder]);
  expect(out).toContain("train 3");
  expect(out).toContain("label: n01 goldfish 2 (66.7%), n02 bullfrog 1 (33.3%)");
  expect(out).toContain("image: 5 x 5 (1), 6 x 5 (1), 7 x 5 (1); mode RGB (3); PNG (3)");
  expect(out).toContain("PNG, 5 x 5, RGB");
  expect(out).toContain("label: 0 (n01 goldfish)");
});
