/** The lab as a command, shortly: interrupted, gone on with, and what it leaves behind. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClassLabel, isEncodedImage, loadDataset } from "@wgrad/datasets";
import { decodeImage } from "@wgrad/image/node";
import { CLIPModel } from "@wgrad/models";
import { AutoProcessor, fromPretrained } from "@wgrad/models/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDevice } from "../../device.js";
import { readRun } from "../../runs/run-folder.js";
import { type Finished, start, wgrad } from "../../testing/process.js";
import { makeShapesDataset, Pictures } from "./dataset.js";
import { ATTRIBUTES, COMBINATIONS, descriptionOf, isHeldOut } from "./shapes.js";

const place = mkdtempSync(join(tmpdir(), "wgrad-shapes-"));
const folder = join(place, "run");
afterAll(() => rmSync(place, { recursive: true, force: true }));

const SIZES = { picturesPerDescription: 1, evaluationPictures: 24 };
const STEPS = 24;

describe("lab clip-shapes", () => {
  let stopped: Finished;
  let done: Finished;
  beforeAll(async () => {
    const running = start([
      ...["lab", "clip-shapes", "--output-dir", folder, "--seed", "3", "--max-steps", String(STEPS)],
      ...["--pictures-per-description", "1", "--evaluation-pictures", "24", "--save-pictures", "true"],
      ...[
        "--per-device-train-batch-size",
        "16",
        "--per-device-eval-batch-size",
        "24",
        "--logging-steps",
        "1",
      ],
    ]);
    await running.until(/^step 2\//m);
    running.interrupt();
    stopped = await running.finished;
    done = await wgrad(["lab", "clip-shapes", join(folder, "recipe.yaml"), "--resume"]);
  }, 300_000);

  it("stops at Ctrl-C with a checkpoint, and says how to go on", () => {
    expect(stopped.code).toBe(130);
    expect(stopped.out).toContain(
      "8 of the 48 combinations of colour and form are held out: red circle, orange cross",
    );
    expect(stopped.out).toContain(
      `Go on with: wgrad lab clip-shapes ${join(folder, "recipe.yaml")} --resume`,
    );
    expect(stopped.out).not.toContain("Zero-shot");
  });

  it("goes on to the end, and shows zero-shot beside chance and what comes next", () => {
    expect(done.err).toContain(`step ${STEPS}/${STEPS}`);
    expect(done.code).toBe(0);
    expect(done.out).toMatch(
      /^right in +pictures +everything +in the first 5 +colour \+ form +colour +form +size +position$/m,
    );
    expect(done.out).toMatch(/^combinations it was trained on +24( +[\d.]+%){7}$/m);
    expect(done.out).toMatch(/^combinations it has never seen +24( +[\d.]+%){7}$/m);
    expect(done.out).toMatch(/^chance +0\.12% +0\.58% +2\.1% +12\.5% +16\.7% +50\.0% +11\.1%$/m);
    expect(done.out).toContain(`wgrad report ${folder}`);
    expect(done.out).toContain(join(folder, "pictures.html"));
  });

  it("leaves a run that the report can read, with predictions of held-out combinations alone", async () => {
    const { metrics, recipe, predictions, pictures, log } = await readRun(folder);
    expect(metrics).toMatchObject({ lab: "clip-shapes", interrupted: false, global_step: STEPS });
    expect(metrics.labels).toEqual(COMBINATIONS);
    expect(recipe).toMatchObject({ lab: "clip-shapes", seed: 3, pictures_per_description: 1 });
    expect(log.filter((entry) => "loss" in entry)).toHaveLength(STEPS);
    const hits = (split: string) =>
      predictions[split]!.filter((row) => row.label === row.prediction).length / 24;
    expect(hits("test")).toBeCloseTo(metrics.test!.test_accuracy!, 10);
    expect(hits("validation")).toBeCloseTo(metrics.validation!.eval_accuracy!, 10);
    const mean = predictions.test!.reduce((sum, { loss }) => sum + loss!, 0) / 24;
    expect(mean).toBeCloseTo(metrics.test!.test_loss!, 3);
    for (const { label } of predictions.test!) expect(isHeldOut(descriptionOf(label! * 18))).toBe(true);
    expect(pictures!.pictures).toHaveLength(24);
    for (const name of ["description", "description_top5", ...Object.keys(ATTRIBUTES)])
      expect(metrics.test![`test_${name}_accuracy`]).toBeGreaterThanOrEqual(0);
    for (const name of ["examples.png", "pictures.png"])
      expect((await decodeImage(join(folder, name))).width).toBeGreaterThan(400);
    expect(readFileSync(join(folder, "pictures.html"), "utf8").match(/<img /g)).toHaveLength(24);
    expect(readdirSync(join(folder, "held-out"))).toHaveLength(3);
    expect(existsSync(join(folder, "checkpoint-24"))).toBe(true);
  });

  it("saves the data that it trained on: no held-out combination among them, the bits of the seed", async () => {
    const splits = await loadDataset(join(folder, "data"));
    expect(splits.numRows).toEqual({ train: 720, validation: 24, test: 24 });
    const made = makeShapesDataset({ seed: 3, ...SIZES });
    const pictures = new Pictures({ side: 48, seed: 3 });
    const train = splits.get("train");
    expect((train.features.colour as ClassLabel).names).toEqual(ATTRIBUTES.colour);
    const [colours, forms] = [train.column("colour"), train.column("form")] as ArrayLike<number>[];
    for (let i = 0; i < 720; i++)
      expect(isHeldOut({ colour: Number(colours![i]), form: Number(forms![i]) })).toBe(false);
    for (const i of [0, 100, 719]) {
      const { image, caption } = train.at(i) as { image: unknown; caption: string };
      if (!isEncodedImage(image)) throw new Error("the column image has no pictures");
      expect((await decodeImage(image.bytes!)).data).toEqual(pictures.of(made.train[i]!).data);
      expect(caption).toBe(made.train[i]!.caption);
    }
  });

  it("is a model's folder: tokenizer, image processor and weights that fit each other", async () => {
    await withDevice({}, async (device) => {
      const { model } = await fromPretrained(CLIPModel, device, folder);
      const processor = await AutoProcessor.fromPretrained(folder);
      const { textConfig, visionConfig } = model.config;
      const { inputIds } = processor.tokenizer("a small red circle in the top left");
      expect(inputIds).toHaveLength(10);
      expect(inputIds.at(-1)).toBe(textConfig.eosTokenId);
      const image = new Pictures({ side: 48, seed: 3 }).of({ description: 0, caption: "", picture: 9 });
      const { imageSize } = visionConfig;
      expect(processor.imageProcessor.preprocess(image).shape).toEqual([1, 3, imageSize, imageSize]);
      model.dispose();
    });
  });

  it.each([
    [["--per-device-train-batch-size", "400"], /no two of them may say the same/],
    [["--pictures-per-description", "0"], /--pictures-per-description is 0/],
  ])("%j is wrong use", async (args, message) => {
    const refused = await wgrad(["lab", "clip-shapes", "--output-dir", join(place, "none"), ...args]);
    expect(refused.err).toMatch(message);
    expect(refused.code).toBe(2);
  });
});
