import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonFile } from "@wgrad/models/node";
import { afterAll, describe, expect, it } from "vitest";
import { sharedFixtures } from "../testing/process.js";
import { confusedPairs } from "../text/confused-pairs.js";
import { openDataset } from "../training/data.js";
import { Ui } from "../ui.js";
import { humanNames } from "./class-names.js";
import { collectFeatures, sourceOf } from "./collect.js";
import { checkNames, expandTemplates, promptsOf } from "./prompts.js";
import { ensembleOf, figuresOf, scoresOf, similarityLogits, topClasses, unitRows } from "./scores.js";

const place = mkdtempSync(join(tmpdir(), "wgrad-clip-"));
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe("prompts", () => {
  it("are the names in every template, the first template first", () => {
    const templates = expandTemplates(["a photo of a {}", "{} and {}"]);
    expect(promptsOf(["cat", "dog"], templates)).toEqual([
      "a photo of a cat",
      "a photo of a dog",
      "cat and cat",
      "dog and dog",
    ]);
    expect(expandTemplates(["imagenet-7", "a {}"])).toHaveLength(8);
  });

  it.each([
    [["a photo"], /no place for the name.*write \{\}/],
    [[], /there is no template/],
  ])("%j is refused", (templates, message) => {
    expect(() => expandTemplates(templates)).toThrow(message);
  });

  it("need two names, none of them twice", () => {
    expect(checkNames([" cat", "", "dog "], "--labels")).toEqual(["cat", "dog"]);
    expect(() => checkNames(["cat"], "--labels")).toThrow(/--labels: only "cat"/);
    expect(() => checkNames(["cat", "cat"], "--labels")).toThrow(/"cat" is there twice/);
  });
});

describe("names of classes", () => {
  const nowhere = { file: null, folder: join(place, "nowhere") };

  it("are human words, or come from words.txt", async () => {
    expect(await humanNames(["school_bus", "tench, Tinca tinca"], nowhere)).toEqual(["school bus", "tench"]);
    writeFileSync(join(place, "words.txt"), "n00000002\tdog, Canis\nn00000001\tcat\n");
    const ids = ["n00000001", "n00000002"];
    expect(await humanNames(ids, { file: null, folder: place })).toEqual(["cat", "dog"]);
    expect(await humanNames(ids, { file: join(place, "words.txt"), folder: "" })).toEqual(["cat", "dog"]);
    writeFileSync(join(place, "list.txt"), "a cat\na dog\n");
    expect(await humanNames(["0", "1"], { file: join(place, "list.txt"), folder: "" })).toEqual([
      "a cat",
      "a dog",
    ]);
  });

  it("that mean nothing are refused with the way out", async () => {
    await expect(humanNames(["n00000001"], nowhere)).rejects.toThrow(/--class-names words.txt/);
    const file = join(place, "list.txt");
    await expect(humanNames(["0", "1", "2"], { file, folder: "" })).rejects.toThrow(/2 names for 3 classes/);
    await expect(humanNames(["a"], { file: join(place, "none"), folder: "" })).rejects.toThrow(
      /no such file/,
    );
  });
});

describe("scores", () => {
  it("count classes, the first five, and weigh as scikit-learn does", () => {
    // Seven classes; the true class is first, second, sixth and first.
    const logits = Float32Array.from(
      [
        [9, 1, 0, 0, 0, 0, 0],
        [8, 7, 0, 0, 0, 0, 0],
        [6, 5, 4, 3, 2, 1, 0],
        [0, 0, 0, 5, 0, 0, 0],
        [9, 9, 9, 9, 9, 9, 9],
      ].flat(),
    );
    const names = ["a", "b", "c", "d", "e", "f", "g"];
    const scores = scoresOf(logits, Int32Array.of(0, 1, 5, 3, -1), names)!;
    expect(scores.examples).toBe(4);
    expect(scores.accuracy).toBe(0.5);
    expect(scores.top5).toBe(0.75);
    // precision_recall_fscore_support([0, 1, 5, 3], [0, 0, 0, 3], average="weighted", zero_division=0)
    const figures = figuresOf(scores, "eval_");
    expect(figures.eval_precision).toBeCloseTo((1 / 3 + 1) / 4, 12);
    expect(figures.eval_recall).toBeCloseTo(0.5, 12);
    expect(figures.eval_f1).toBeCloseTo((0.5 + 1) / 4, 12);
    const loss = (row: number[], label: number) =>
      Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0)) - row[label]!;
    const rows = [0, 1, 2, 3].map((i) => [...logits.subarray(i * 7, i * 7 + 7)]);
    const mean = rows.reduce((sum, row, i) => sum + loss(row, [0, 1, 5, 3][i]!), 0) / 4;
    expect(scores.loss).toBeCloseTo(mean, 10);
    expect(confusedPairs(scores.confusion)).toEqual([
      { truth: 1, predicted: 0, count: 1, share: 1 },
      { truth: 5, predicted: 0, count: 1, share: 1 },
    ]);
    expect(scoresOf(logits, new Int32Array(5).fill(-1), names)).toBeNull();
  });

  it("have no top five of five classes", () => {
    const scores = scoresOf(new Float32Array(5), Int32Array.of(0), ["a", "b", "c", "d", "e"])!;
    expect(scores.top5).toBeNull();
    expect(figuresOf(scores, "")).not.toHaveProperty("top5_accuracy");
  });

  it("average unit vectors over templates, and are unit vectors again", () => {
    const features = Float32Array.of(3, 0, 0, 2, 0, 5, 0, 7);
    expect([...ensembleOf(features, 2, 1)]).toEqual([1, 0, 0, 1, 0, 1, 0, 1]);
    const both = ensembleOf(features, 2, 2);
    expect(both[0]).toBeCloseTo(Math.SQRT1_2, 6);
    expect([...both.subarray(2)]).toEqual([0, 1]);
    expect([...unitRows(new Float32Array(2), 2)]).toEqual([0, 0]);
    expect([...similarityLogits(both, Float32Array.of(1, 0), 2, 10)].map((z) => z.toFixed(3))).toEqual([
      "7.071",
      "0.000",
    ]);
    expect(topClasses([1, 3, 3, 2], 3)).toEqual([1, 2, 3]);
  });
});

const reference = join(sharedFixtures, "runs", "results", "clip_zero_shot.json");
const stored = await readJsonFile<Record<string, unknown>>(reference).catch(() => null);

// Decoding, image processor, tokenizer, both towers and their scale at once; the JPEGs are Pillow's, to the byte.
describe.skipIf(!stored)("a small CLIP on Tiny ImageNet, beside transformers (needs WGRAD_SHARED)", () => {
  it("gives the same logits for eight pictures and eight of the 200 prompts", async () => {
    const data = join(sharedFixtures, "..", "data", "tiny_imagenet");
    const ui = new Ui({ json: true, live: false });
    const rows = (await openDataset(data, { offline: true, ui })).get("validation");
    const labels = [
      "n01443537",
      "n01629819",
      "n01641577",
      "n01644900",
      "n01698640",
      "n01742172",
      "n01768244",
      "n01770393",
    ];
    const names = await humanNames(labels, { file: null, folder: data });
    const eight = sourceOf("validation", rows.take(8), "image", new Int32Array(8));
    const settings = {
      model: join(data, "../../checkpoints/clip-tiny-imagenet"),
      featuresDir: null,
      batchSize: 8,
    };
    const { texts, images } = await collectFeatures(
      { ...settings, numWorkers: 0, onError: "raise", recompute: false, offline: true },
      { prompts: promptsOf(names, ["a photo of a {}"]), sources: [eight] },
      ui,
    );
    const { features, columns, scale } = texts!;
    expect(scale).toBeCloseTo(stored!.logit_scale as number, 4);
    const logits = similarityLogits(
      unitRows(images.get("validation")!.projected, columns),
      ensembleOf(features, columns, 1),
      columns,
      scale,
    );
    const wanted = (stored!.validation_rows0to7_logits_first8_classes as number[][]).flat();
    // Logits of up to 5, in f32 with sums in another order.
    wanted.forEach((value, i) => {
      expect(Math.abs(logits[i]! - value)).toBeLessThan(2e-4);
    });
  });
});
