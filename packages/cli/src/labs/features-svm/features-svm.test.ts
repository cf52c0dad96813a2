/** The lab and the two verbs as commands, on a small model. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readRun } from "../../runs/run-folder.js";
import { makeTinyData, makeTinyModel, wgrad } from "../../testing/process.js";
import { keyOf, readFeatures, type StoredFeatures } from "./cache.js";

let place: string;
let model: string;
let data: string;

/** No adapter is found: what works all the same has not computed anything. */
const withoutGpu = { env: { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" } };

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-features-"));
  model = await makeTinyModel(join(place, "model"));
  data = makeTinyData(join(place, "data"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe("lab features-svm", () => {
  const out = () => join(place, "run");
  const lab = (more: readonly string[], options = {}) =>
    wgrad(
      ["lab", "features-svm", "--model", model, "--dataset", data, "--output-dir", out(), ...more],
      options,
    );

  it("computes features, fits every classifier and leaves a run", async () => {
    const done = await lab(["--batch-size", "8"]);
    expect(done.err).toMatch(/^train: 32 texts, \d+ tokens in 4 batches/m);
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^features {2}classifier +train acc {2}validation acc {2}validation F1/);
    for (const features of ["cls", "mean"]) {
      for (const name of ["LinearSVC", "SVC\\(kernel=linear\\)", "SVC\\(kernel=rbf\\)", "LogisticRegression"])
        expect(done.out).toMatch(new RegExp(`^${features} +${name}( +[01]\\.\\d{4}){5}`, "m"));
    }
    expect(done.out).toMatch(/^Best by validation: \w+ [\s\S]*weighted avg[\s\S]*true \\ predicted/m);

    const { metrics, predictions, recipe } = await readRun(out());
    expect(recipe).toMatchObject({ lab: "features-svm", c: 1, features: ["cls", "mean"], dataset: data });
    expect(metrics.classifiers).toHaveLength(8);
    const accuracies = metrics.classifiers!.map(({ splits }) => splits.validation!.accuracy!);
    expect(metrics.validation!.eval_accuracy).toBe(Math.max(...accuracies));
    for (const split of ["validation", "test"] as const) {
      const rows = predictions[split]!;
      const hits = rows.filter((p) => p.label === p.prediction).length;
      const figures = { validation: metrics.validation?.eval_accuracy, test: metrics.test?.test_accuracy };
      expect(figures[split]).toBe(hits / rows.length);
      expect(rows.every((p) => p.logits[1]! > p.logits[0]! === (p.prediction === 1))).toBe(true);
      expect(rows.every((p) => p.loss! > 0 && p.text.length > 0)).toBe(true);
    }
    expect(readFileSync(join(out(), "reports.txt"), "utf8").match(/weighted avg/g)).toHaveLength(8);
  });

  it("computes nothing again for other classifiers, not even opening an adapter", async () => {
    const done = await lab(["--classifiers", "svc-rbf", "--features", "mean", "--json"], withoutGpu);
    expect(done.err).toContain("test: features of 16 texts are there already");
    expect(done.code).toBe(0);
    const { classifiers } = JSON.parse(done.out) as { classifiers: { classifier: string }[] };
    expect(classifiers.map((c) => c.classifier)).toEqual(["SVC(kernel=rbf)"]);
  });

  it("computes anew what is of other texts, another length, or asked for", async () => {
    for (const more of [["--max-length", "5"], ["--subset", "6"], ["--recompute"]]) {
      const done = await lab(more, withoutGpu);
      expect(done.err).not.toContain("are there already");
      expect(done.code).toBe(1);
    }
    const key = keyOf("a", ["b", "c"], 3);
    expect(keyOf("a", ["b", "c"], 3)).toBe(key);
    for (const other of [keyOf("b", ["b", "c"], 3), keyOf("a", ["bc", ""], 3), keyOf("a", ["b", "c"], 4)])
      expect(other).not.toBe(key);
  });
});

describe("wgrad features, wgrad svm", () => {
  const folder = () => join(place, "padded");
  const read = async (where: string) => (await readFeatures(where, "validation", null)) as StoredFeatures;

  it("gives the same features from padded rows", async () => {
    const done = await wgrad([
      ...["features", "--model", model, "--dataset", data, "--output-dir", folder(), "--no-padding-free"],
    ]);
    expect(done.code).toBe(0);
    expect(done.out).toContain("validation.safetensors: cls and mean [16, 32], labels [16]");
    const [packed, padded] = [await read(join(place, "run/features")), await read(folder())];
    expect(padded.labels).toEqual(packed.labels);
    expect(padded.labelNames).toEqual(["neg", "pos"]);
    for (const kind of ["cls", "mean"] as const) {
      const largest = Math.max(...packed[kind].map((value, i) => Math.abs(value - padded[kind][i]!)));
      expect(largest).toBeLessThan(1e-5);
    }
  });

  it("fits classifiers on features that are there, and keeps them as a run", async () => {
    const kept = join(place, "kept");
    const done = await wgrad(
      ["svm", folder(), "--classifiers", "linear-svc", "--standardize", "--output-dir", kept],
      withoutGpu,
    );
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^cls +LinearSVC/m);
    const { metrics } = await readRun(kept);
    expect(metrics.classifiers!.map((c) => c.features)).toEqual(["cls", "mean"]);
  });

  it("says what it needs", async () => {
    const none = await wgrad(["svm", place]);
    expect(none.code).toBe(1);
    expect(none.err).toContain("has no train.safetensors");
    const unknown = await wgrad(["svm", folder(), "--classifiers", "forest"]);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain("--classifiers forest: expected some of linear-svc, svc-linear");
  });
});
