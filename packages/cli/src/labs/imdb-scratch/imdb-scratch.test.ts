/** The lab as a command, on a small model. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readRun } from "../../runs/run-folder.js";
import { makeTinyData, makeTinyModel, wgrad } from "../../testing/process.js";

let place: string;
let model: string;
let data: string;

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-imdb-"));
  model = await makeTinyModel(join(place, "model"));
  data = makeTinyData(join(place, "data"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe("lab imdb-scratch", () => {
  const out = () => join(place, "runs");
  const run = (...more: string[]) => {
    const fixed = ["--model", model, "--dataset", data, "--output-dir", out(), "--num-train-epochs", "6"];
    return wgrad(["lab", "imdb-scratch", ...fixed, "--learning-rate", "5e-3", ...more]);
  };

  it("trains from both starts, and leaves two runs and a picture", async () => {
    const done = await run();
    expect(done.err).toContain("train 32, validation 16; classes neg, pos");
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^pretrained weights: [\d,]+ parameters\nepoch {5}train loss/m);
    expect(done.out).toMatch(/^6( +\d\.\d{4}){4}/m);
    for (const start of ["pretrained", "random"]) {
      const { metrics, log, predictions, recipe } = await readRun(join(out(), start));
      expect(metrics.epochs).toHaveLength(6);
      expect(metrics.global_step).toBe(12);
      expect(metrics.epochs.at(-1)!.train_loss).toBeLessThan(metrics.epochs[0]!.train_loss!);
      expect(log).toHaveLength(12);
      expect(recipe).toMatchObject({ lab: "imdb-scratch", dropout: 0.3, learning_rate: 5e-3 });
      const hits = predictions.validation!.filter((p) => p.label === p.prediction).length;
      expect(metrics.validation!.eval_accuracy).toBe(hits / 16);
      const mean = predictions.validation!.reduce((sum, p) => sum + p.loss!, 0) / 16;
      expect(metrics.validation!.eval_loss).toBeCloseTo(mean, 6);
    }
    const [a, b] = await Promise.all(["pretrained", "random"].map((s) => readRun(join(out(), s))));
    expect(a!.metrics.epochs[0]!.train_loss).not.toBe(b!.metrics.epochs[0]!.train_loss);
    expect(readFileSync(join(out(), "curves.svg"), "utf8")).toMatch(/^<svg[\s\S]*Accuracy/);
  });

  it("does not train again what is finished, with --resume", async () => {
    const before = readFileSync(join(out(), "pretrained/model.safetensors"));
    rmSync(join(out(), "random/metrics.json"));
    const done = await run("--resume", "--json");
    expect(done.code).toBe(0);
    expect(JSON.parse(done.out)).toMatchObject({ interrupted: false });
    expect(readFileSync(join(out(), "pretrained/model.safetensors")).equals(before)).toBe(true);
    expect(existsSync(join(out(), "random/metrics.json"))).toBe(true);
  });

  it("reads review and sentiment of a CSV file, and refuses more classes than two", async () => {
    const csv = join(place, "reviews.csv");
    const rows = Array.from({ length: 24 }, (_, i) =>
      i % 2 === 0 ? '"a good, fine film",positive' : "a bad film,negative",
    );
    writeFileSync(csv, `review,sentiment\n${rows.join("\n")}\n`);
    const args = [
      "--model",
      model,
      "--num-train-epochs",
      "1",
      "--output-dir",
      join(place, "csv"),
      "--dataset",
    ];
    const done = await wgrad(["lab", "imdb-scratch", ...args, csv]);
    expect(done.err).toContain("classes negative, positive");
    expect(done.code).toBe(0);
    writeFileSync(csv, `review,sentiment\n${rows.join("\n")}\nmeh,neutral\n`);
    const refused = await wgrad(["lab", "imdb-scratch", ...args, csv]);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("3 classes (negative, neutral, positive)");
  });
});
