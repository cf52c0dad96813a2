/** The verbs on small models and data, each in a real process. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { hasShared, makeTinyData, makeTinyModel, sharedFixtures, start, wgrad } from "../testing/process.js";

let place: string;
let model: string;
let data: string;

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-verbs-"));
  model = await makeTinyModel(join(place, "model"));
  data = makeTinyData(join(place, "data"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

describe("--help", () => {
  it.each(["doctor", "quickstart", "train", "eval", "predict", "inspect", "kernels", "verify"])(
    "of %s has examples and needs no GPU",
    async (verb) => {
      const done = await wgrad([verb, "--help"], { env: { VK_DRIVER_FILES: "/nonexistent" } });
      expect(done.code).toBe(0);
      expect(done.out).toContain("--json");
      expect(done.out).toContain(`Examples:\n  wgrad ${verb}`);
      expect(done.err).toBe("");
    },
  );

  it("lists the verbs", async () => {
    const done = await wgrad(["--help"]);
    expect(done.code).toBe(0);
    for (const verb of ["doctor", "train", "verify"])
      expect(done.out).toMatch(new RegExp(`^  ${verb} `, "m"));
  });
});

describe("train, eval, predict", () => {
  const run = () => join(place, "run");

  it("trains, evaluates and saves a folder that the other verbs read", async () => {
    const args = [
      "--num-train-epochs",
      "2",
      "--learning-rate",
      "1e-3",
      "--logging-steps",
      "2",
      "--output-dir",
      run(),
    ];
    const trained = await wgrad(["train", "--model", model, "--dataset", data, ...args]);
    expect(trained.err).toMatch(/^step 2\/8 {2}epoch 0\.50 {2}loss \d\.\d{4}/m);
    expect(trained.out).toMatch(/epoch {2}train loss {3}val loss/);
    expect(trained.out).toMatch(/^ {5}2( +0\.\d{4}){6}/m);
    expect(trained.out).toContain("dispatches in 1 submission");
    expect(trained.out).toMatch(/weighted avg/);
    expect(trained.code).toBe(0);

    const names = readdirSync(run());
    for (const name of [
      "model.safetensors",
      "config.json",
      "tokenizer.json",
      "recipe.yaml",
      "metrics.json",
      "log.jsonl",
    ]) {
      expect(names).toContain(name);
    }
    expect(names.filter((name) => /tmp/.test(name))).toEqual([]);
    expect(parse(readFileSync(join(run(), "recipe.yaml"), "utf8"))).toMatchObject({
      learning_rate: 1e-3,
      num_train_epochs: 2,
      model,
    });
    const metrics = JSON.parse(readFileSync(join(run(), "metrics.json"), "utf8"));
    expect(metrics.epochs).toHaveLength(2);
    expect(metrics.training.submissions_per_step).toBe(1);
    expect(metrics.training.dispatches_per_step).toBeGreaterThan(20);
    const log = readFileSync(join(run(), "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(log.filter((entry) => "loss" in entry).map((entry) => entry.step)).toEqual([2, 4, 6, 8]);

    const evaluated = await wgrad(["eval", "--json", "--model", run(), "--dataset", data]);
    expect(evaluated.code).toBe(0);
    const report = JSON.parse(evaluated.out);
    expect(report.metrics.eval_accuracy).toBeCloseTo(metrics.test.test_accuracy, 6);
    expect(report.metrics.eval_loss).toBeCloseTo(metrics.test.test_loss, 4);
    expect(report.report.classes).toHaveProperty("neg.precision");

    const predicted = await wgrad(["predict", "--model", run()], {
      input: "the plot is good .\n\nthe plot is bad .\n",
    });
    expect(predicted.code).toBe(0);
    expect(predicted.err).toContain("1 empty lines of 3");
    expect(
      predicted.out
        .trim()
        .split("\n")
        .map((line) => line.split("\t")[2]),
    ).toEqual(["the plot is good .", "the plot is bad ."]);
  });

  it("computes the step in the ways that flags ask for", async () => {
    const folder = join(place, "ways");
    const ways = ["--no-padding-free", "--no-capture", "--gradient-checkpointing"];
    const args = ["--max-steps", "2", "--logging-steps", "1", "--output-dir", folder];
    const trained = await wgrad(["train", "--model", model, "--dataset", data, ...args, ...ways]);
    expect(trained.code).toBe(0);
    expect(trained.err).toMatch(/^Compiled \d+ kernels$/m);
    expect(parse(readFileSync(join(folder, "recipe.yaml"), "utf8"))).toMatchObject({
      padding_free: false,
      capture: false,
      gradient_checkpointing: true,
      fp16: false,
    });
  });

  it("refuses to mix two runs in one folder", async () => {
    const done = await wgrad(["train", "--model", model, "--dataset", data, "--output-dir", run()]);
    expect(done.code).toBe(2);
    expect(done.err).toContain("--resume");
    expect(done.err).toContain("--overwrite-output-dir");
  });

  it("stops at Ctrl-C with a checkpoint and goes on from it to the same result", async () => {
    const args = (folder: string) => [
      ...["train", "--model", model, "--dataset", data, "--output-dir", folder],
      ...[
        "--num-train-epochs",
        "40",
        "--logging-steps",
        "1",
        "--eval-strategy",
        "no",
        "--save-strategy",
        "no",
      ],
    ];
    const stopped = join(place, "stopped");
    const first = start(args(stopped));
    await first.until(/^step 3\//m);
    first.interrupt();
    const interrupted = await first.finished;
    expect(interrupted.code).toBe(130);
    expect(interrupted.out).toContain("--resume");
    expect(readdirSync(stopped).filter((name) => name.startsWith("checkpoint-"))).toHaveLength(1);
    expect(existsSync(join(stopped, "model.safetensors"))).toBe(false);
    const resumed = await wgrad(["train", join(stopped, "recipe.yaml"), "--resume"]);
    expect(resumed.code).toBe(0);

    const straight = join(place, "straight");
    expect((await wgrad(args(straight))).code).toBe(0);
    const losses = (folder: string) =>
      readFileSync(join(folder, "log.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
        .filter((e) => "loss" in e)
        .map((e) => [e.step, e.loss]);
    expect(losses(stopped)).toEqual(losses(straight));
    expect(readFileSync(join(stopped, "model.safetensors"))).toEqual(
      readFileSync(join(straight, "model.safetensors")),
    );
  }, 300_000);

  it("leaves at once at the second Ctrl-C", async () => {
    const folder = join(place, "twice");
    const running = start([
      "train",
      "--model",
      model,
      "--dataset",
      data,
      "--output-dir",
      folder,
      "--num-train-epochs",
      "4000",
      "--logging-steps",
      "1",
    ]);
    await running.until(/^step 2\//m);
    running.interrupt();
    running.interrupt();
    expect((await running.finished).code).toBe(130);
  });

  it("predicts as JSON with the probability of every class", async () => {
    const done = await wgrad(["predict", "--json", "--model", model, "the plot is good ."]);
    const [one] = JSON.parse(done.out);
    expect(one.probabilities.neg + one.probabilities.pos).toBeCloseTo(1, 5);
    expect(one.probability).toBe(one.probabilities[one.label]);
  });
});

describe("inspect", () => {
  it("shows a data set", async () => {
    const done = await wgrad(["inspect", data, "--tokenizer", model]);
    expect(done.code).toBe(0);
    expect(done.out).toContain("train 32, validation 16, test 16");
    expect(done.out).toContain("ClassLabel(neg, pos)");
    expect(done.out).toContain("neg 16 (50.0%), pos 16 (50.0%)");
    expect(done.out).toMatch(/text in tokens: min \d+/);
    const json = JSON.parse((await wgrad(["inspect", "--json", "dataset", data])).out);
    expect(json.splits.map((split: { rows: number }) => split.rows)).toEqual([32, 16, 16]);
  });

  it("shows a model without a GPU", async () => {
    const done = await wgrad(["inspect", model], { env: { VK_DRIVER_FILES: "/nonexistent" } });
    expect(done.code).toBe(0);
    expect(done.out).toContain("(q_lin): Linear(in_features=32, out_features=32, bias=True)");
    expect(done.out).toMatch(/distilbert\.embeddings\.position_embeddings\.weight +\[512, 32\] +16,384/);
    expect(done.out).toMatch(/[\d,]+ parameters in \d+ tensors/);
  });

  it("shows what a tokenizer makes of a text", async () => {
    const json = JSON.parse((await wgrad(["inspect", "--json", "tokenizer", model, "The plot."])).out);
    expect(
      json.tokens.map((t: { token: string; begin: number; end: number }) => [t.token, t.begin, t.end]),
    ).toEqual([
      ["[CLS]", 0, 0],
      ["the", 0, 3],
      ["plot", 4, 8],
      [".", 8, 9],
      ["[SEP]", 0, 0],
    ]);
  });
});

describe("doctor", () => {
  it("tries a dispatch", async () => {
    const done = await wgrad(["doctor"]);
    expect(done.code).toBe(0);
    expect(done.out).toContain("✓ Dispatch");
    const json = JSON.parse((await wgrad(["doctor", "--json"])).out);
    expect(json.healthy).toBe(true);
    expect(json.limits.maxComputeInvocationsPerWorkgroup).toBeGreaterThanOrEqual(256);
  });
});

describe("verify", () => {
  it("runs the cases that ship with the package, within the guaranteed limits", async () => {
    const done = await wgrad(["verify", "--only", "optim,models", "--limits", "default"]);
    expect(done.out).toMatch(/\d+ passed, 0 failed, 0 skipped\n$/);
    expect(done.code).toBe(0);
  });

  it.skipIf(!hasShared)(
    `runs a full set${hasShared ? "" : ` (no ${sharedFixtures}; set WGRAD_SHARED)`}`,
    async () => {
      const done = await wgrad([
        "verify",
        "--json",
        "--fixtures",
        sharedFixtures,
        "--only",
        "optim,tokenizer,peft,images",
      ]);
      const { failed, passed, skipped, rows } = JSON.parse(done.out);
      expect(rows.filter((row: { failed: number }) => row.failed > 0)).toEqual([]);
      expect(failed).toBe(0);
      expect(passed).toBeGreaterThan(700);
      expect(skipped).toBe(0);
      expect(done.code).toBe(0);
    },
  );
});
