/** The labs that train a CLIP as commands, on a small model and pictures of plain colours. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CLIPModel, CLIPVisionModel, clipConfig } from "@wgrad/models";
import { AutoConfig, fromPretrained } from "@wgrad/models/node";
import { PeftModel } from "@wgrad/peft";
import { skipInit } from "@wgrad/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { withDevice } from "../../device.js";
import { UsageError } from "../../errors.js";
import { KIND as FULL } from "../../labs/clip-full/index.js";
import { KIND as LORA } from "../../labs/clip-lora-contrastive/index.js";
import { KIND as HEAD } from "../../labs/clip-lora-head/index.js";
import { readRun } from "../../runs/run-folder.js";
import { makePictures, makeTinyClip } from "../../testing/clip.js";
import { wgrad } from "../../testing/process.js";
import { withAdapter } from "../../training/adapter.js";
import { settingsFromJson } from "../../training/settings.js";
import { type ClipLabKind, clipTrainingSettings, makeClipRecipe } from "./settings.js";

const NAMES = ["red sky", "green hill", "blue lake"];
const recipes = resolve(import.meta.dirname, "../../../../../recipes");
const noGpu = { env: { VK_DRIVER_FILES: "/nonexistent" } };

let place: string;
let model: string;
let data: string;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-clip-training-"));
  model = await makeTinyClip(
    join(place, "model"),
    NAMES.map((name) => `a photo of a ${name}`),
  );
  data = await makePictures(join(place, "data"), 8);
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const lab = (name: string, folder: string, ...flags: string[]) =>
  wgrad([
    "lab",
    name,
    ...["--model", model, "--dataset", data, "--offline", "--output-dir", join(place, folder)],
    ...["--per-device-train-batch-size", "8", "--per-device-eval-batch-size", "12", "--grid-size", "4"],
    ...flags,
  ]);

describe("the recipe of clip-lora-contrastive", () => {
  const { lab: _lab, ...keys } = parse(readFileSync(join(recipes, "clip-lora-contrastive.yaml"), "utf8"));
  const settings = settingsFromJson(keys, "recipe", { settings: clipTrainingSettings(LORA) });

  it.each([
    [{}, "trainable params: 491,520 || all params: 150,112,257 || trainable%: 0.3274"],
    [{ loraR: 16 }, "trainable params: 983,040 || all params: 150,603,777 || trainable%: 0.6527"],
  ])("with %j trains as many parameters of ViT-B/16 as in PEFT", async (flags, line) => {
    const { recipe } = makeClipRecipe({ ...settings, ...flags }, LORA);
    // The null backend holds the model and computes nothing.
    await withDevice({ dawnFlags: ["backend=null"] }, async (device) => {
      const config = clipConfig({ vision_config: { patch_size: 16 } });
      const adapted = withAdapter(
        skipInit(() => new CLIPModel(device, config)),
        recipe.settings.peft,
        "openai/clip-vit-base-patch16",
      );
      expect(adapted).toBeInstanceOf(PeftModel);
      const lines: string[] = [];
      (adapted as PeftModel).printTrainableParameters((text) => lines.push(text));
      expect(lines).toEqual([line]);
      adapted.dispose();
    });
  });
});

describe("wrong use", () => {
  const subjects = { model: "m", dataset: "d" };

  it.each([
    [LORA, { loss: "head" }, /--loss is "head", expected contrastive, prompts/],
    [LORA, { template: "a photo" }, /"a photo" has no place for the name/],
    [LORA, { perDeviceTrainBatchSize: 1 }, /is 1: the contrastive loss compares/],
    [LORA, { loraR: 0 }, /\br\b is 0/],
    [HEAD, { onError: "cry" }, /--on-error is "cry", expected raise or skip/],
    [HEAD, { randomResizedCrop: 2 }, /--random-resized-crop is 2/],
    [HEAD, { gridSize: -1 }, /--grid-size is -1/],
    [FULL, { config: {} }, /--config is for a start from random weights/],
  ])("is refused: %j %j", (kind, given, message) => {
    expect(() => makeClipRecipe({ ...subjects, ...given }, kind)).toThrow(UsageError);
    expect(() => makeClipRecipe({ ...subjects, ...given }, kind)).toThrow(message);
  });

  it("leaves out what a lab has not", () => {
    const names = (kind: ClipLabKind) => clipTrainingSettings(kind).map(({ name }) => name);
    expect(names(LORA)).toContain("loraR");
    expect(names(HEAD)).not.toContain("template");
    expect(names(FULL)).toEqual(expect.arrayContaining(["fromScratch", "loss", "imageColumn"]));
    for (const name of ["loraR", "peft", "textColumn", "paddingFree"])
      expect(names(FULL)).not.toContain(name);
  });
});

describe("wgrad lab clip-lora-contrastive", () => {
  it("trains an adapter by pictures and prompts, and leaves a run with its grid", async () => {
    const flags = ["--num-train-epochs", "2", "--color-jitter", "0.2", "--learning-rate", "0.01"];
    const done = await lab("clip-lora-contrastive", "lora", ...flags);
    expect(done.err).toContain("train 24, validation 24; 3 classes: blue lake, green hill, red sky");
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^trainable params: [\d,]+ \|\| all params/m);
    expect(done.out).toMatch(/^split +pictures +top-1 +top-5 +loss/m);
    const run = await readRun(join(place, "lora"));
    expect(run.metrics).toMatchObject({ lab: "clip-lora-contrastive", global_step: 6, test: null });
    expect(run.metrics.epochs).toHaveLength(2);
    expect(run.predictions.validation).toHaveLength(24);
    expect(run.pictures?.pictures).toHaveLength(4);
    for (const name of [
      "adapter_model.safetensors",
      "preprocessor_config.json",
      "tokenizer.json",
      "grid.png",
    ])
      expect(existsSync(join(place, "lora", name)), name).toBe(true);
  });

  it("goes on after an interruption with the same pictures, augmented alike", async () => {
    cpSync(join(place, "lora"), join(place, "again"), { recursive: true });
    rmSync(join(place, "again", "checkpoint-6"), { recursive: true });
    rmSync(join(place, "again", "metrics.json"));
    const recipe = join(place, "again", "recipe.yaml");
    const into = ["--output-dir", join(place, "again")];
    const done = await wgrad(["lab", "clip-lora-contrastive", recipe, "--resume", ...into]);
    expect(done.err).not.toContain("wgrad:");
    expect(done.code).toBe(0);
    const [first, second] = [await readRun(join(place, "lora")), await readRun(join(place, "again"))];
    expect(second.metrics.validation?.eval_loss).toBe(first.metrics.validation?.eval_loss);
    expect(second.metrics.epochs[1]?.train_loss).toBe(first.metrics.epochs[1]?.train_loss);
    const report = await wgrad(["report", join(place, "again")], noGpu);
    expect(report.code).toBe(0);
    const compare = await wgrad(["compare", join(place, "lora"), join(place, "again")], noGpu);
    expect(compare.out).toContain("lora");
  });
});

describe("wgrad zero-shot with a run of clip-lora-contrastive", () => {
  it("says what the run says", async () => {
    const { predictions, metrics } = await readRun(join(place, "lora"));
    const logits = predictions.validation?.[0]?.logits ?? [];
    const picture = join(data, "validation", "blue_lake", "0.png");
    const labels = ["--labels", metrics.labels.join()];
    const done = await wgrad(["zero-shot", picture, ...labels, "--model", join(place, "lora"), "--json"]);
    expect(done.code).toBe(0);
    const [{ probabilities }] = JSON.parse(done.out);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    for (const [i, label] of metrics.labels.entries())
      expect(probabilities[label]).toBeCloseTo(Math.exp(logits[i]!) / total, 4);
  });
});

describe("wgrad lab clip-lora-head", () => {
  it("trains a classifier with an adapter; a picture that cannot be read is left out, or is an error", async () => {
    const broken = join(place, "broken");
    cpSync(data, broken, { recursive: true });
    writeFileSync(join(broken, "train", "red_sky", "3.png"), "no picture");
    const flags = ["--dataset", broken, "--max-steps", "3", "--eval-strategy", "no", "--save-strategy", "no"];
    const quick = [...flags, "--load-best-model-at-end", "false"];
    const refused = await lab("clip-lora-head", "head", ...quick, "--subset", "24");
    expect(refused.err).toMatch(/row \d+.*cannot be read/);
    expect(refused.code).toBe(1);
    const again = ["--overwrite-output-dir", "--on-error", "skip"];
    const done = await lab("clip-lora-head", "head", ...quick, ...again, "--json");
    expect(done.err).toMatch(/1 pictures? could not be read/);
    expect(done.code).toBe(0);
    const { validation, parameters } = JSON.parse(done.out);
    expect(validation.eval_accuracy).toBeGreaterThan(0);
    expect(parameters.trainable).toBeLessThan(parameters.all);
    const adapter = JSON.parse(readFileSync(join(place, "head", "adapter_config.json"), "utf8"));
    expect(adapter).toMatchObject({ r: 8, modules_to_save: ["classifier"] });
  });
});

describe("wgrad lab clip-full", () => {
  it("begins with random weights for a config of one's own, with a classifier", async () => {
    const config = { vision_config: { num_hidden_layers: 1 } };
    const flags = [
      "--from-scratch",
      "--config",
      JSON.stringify(config),
      "--loss",
      "head",
      "--max-steps",
      "2",
    ];
    const quick = ["--eval-strategy", "no", "--save-strategy", "no", "--load-best-model-at-end", "false"];
    const done = await lab("clip-full", "full", ...flags, ...quick, "--skip-greyscale");
    expect(done.err).toContain("train: 0 pictures without colours are left out.");
    expect(done.code).toBe(0);
    const saved = await AutoConfig.fromPretrained(join(place, "full"), { modelType: "clip" });
    expect(saved.visionConfig.numHiddenLayers).toBe(1);
    expect(Object.values(saved.id2label)).toEqual([...NAMES].sort());
    await withDevice({ dawnFlags: ["backend=null"] }, async (device) => {
      const { info } = await fromPretrained(CLIPVisionModel, device, join(place, "full"), {
        onWarning: () => {},
      });
      expect(info.missingKeys).toEqual([]);
    });
  });
});
