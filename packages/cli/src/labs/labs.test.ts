/** The labs as commands, on a small model and small data. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { makeSentimentDataset } from "../quickstart/grammar.js";
import { readRun } from "../runs/run-folder.js";
import { makeTinyData, makeTinyModel, start, wgrad, writeSplit } from "../testing/process.js";

let place: string;
let model: string;
let data: string;
const noGpu = { VK_DRIVER_FILES: "/nonexistent" };

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-labs-"));
  model = await makeTinyModel(join(place, "model"));
  data = makeTinyData(join(place, "data"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const json = (...path: string[]) => JSON.parse(readFileSync(join(place, ...path), "utf8"));
const subjects = () => ["--model", model, "--dataset", data];
const into = (folder: string) => ["--output-dir", join(place, folder)];

describe("wgrad lab", () => {
  it("lists the labs with their recipes, which are shipped", async () => {
    const done = await wgrad(["lab", "--json"], { env: noGpu });
    expect(done.code).toBe(0);
    const labs: { name: string; recipes: { name: string; path: string }[] }[] = JSON.parse(done.out);
    const recipesOf = (name: string) => labs.find((lab) => lab.name === name)?.recipes.map((r) => r.name);
    expect(recipesOf("lora")).toEqual(["lora", "lora-r8-fp16"]);
    for (const { name, recipes } of labs) {
      expect(recipesOf(name)).toContain(name);
      for (const { path } of recipes) expect(parse(readFileSync(path, "utf8")).lab).toBe(name);
    }
  });

  it.each(["explore", "finetune", "lora-r8-fp16", "mlm"])(
    "%s --help has its settings in groups and examples, and needs no GPU",
    async (name) => {
      const done = await wgrad(["lab", name, "--help"], { env: noGpu });
      expect(done.err).toBe("");
      expect(done.code).toBe(0);
      for (const part of [
        "Model and data:",
        "--subset <n>",
        "--offline",
        "--resume [dir]",
        "Examples:\n  wgrad lab",
      ])
        expect(done.out).toContain(part);
    },
  );

  it.each([
    [["fintune"], /there is no lab "fintune". Did you mean finetune\?/],
    [["--subset", "4"], /unknown option --subset/],
    [["lora", "finetune"], /finetune.yaml is a recipe of the lab "finetune", not of wgrad lab lora/],
    [["lora", "nowhere.yaml"], /there is no such recipe.*lora-r8-fp16/],
    [["finetune", "--lora-r", "4"], /unknown option '--lora-r'/],
    [["explore", "--subset", "0"], /--subset is 0/],
    [["mlm", "--mlm-probability", "2"], /--mlm-probability is 2/],
    [["lora", "--lora-dropout", "2"], /dropout is 2/i],
  ])("%j is wrong use", async (args, message) => {
    const done = await wgrad(["lab", ...args], { env: noGpu });
    expect(done.err).toMatch(message);
    expect(done.code).toBe(2);
  });

  it("names the split that is not there, and those that are", async () => {
    const splits = ["--eval-split", "dev", ...into("no-split")];
    const done = await wgrad(["lab", "finetune", ...subjects(), ...splits]);
    expect(done.code).toBe(1);
    expect(done.err).toMatch(/dev[\s\S]*train, validation, test/);
  });
});

describe("explore", () => {
  it("shows data, tokens, the vector of [CLS] and parameters, and writes them where it is told to", async () => {
    const args = ["--text", "The plot is good.", ...into("explore")];
    const done = await wgrad(["lab", "explore", ...subjects(), ...args]);
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^train +32 +16 +16$/m);
    expect(done.out).toContain("tokens (7): [CLS] the plot is good . [SEP]");
    expect(done.out).toMatch(/^transformer\.layer\.0\.attention\.q_lin\.weight +\[32, 32\] +1,024$/m);
    expect(readFileSync(join(place, "explore", "explore.txt"), "utf8")).toContain(
      "Tokens of a text in train:",
    );
    const found = json("explore", "explore.json");
    expect(found.splits[0]).toMatchObject({ split: "train", rows: 32, labels: { neg: 16, pos: 16 }, cut: 0 });
    for (const figure of ["min", "mean", "median", "p95", "p99", "max"])
      expect(found.splits[0].tokens[figure]).toBeGreaterThan(2);
    expect(found.example.decoded).toBe("[CLS] the plot is good. [SEP]");
    expect(found.example.cls.vector).toHaveLength(32);
    const counted = found.modules.reduce((sum: number, { count }: { count: number }) => sum + count, 0);
    expect(counted).toBe(found.total);
  });
});

describe("finetune", () => {
  it("stops early, sets splits aside and leaves a whole run", async () => {
    const alone = writeSplit(
      join(place, "alone"),
      "train",
      makeSentimentDataset({ train: 40, validation: 2, test: 2 }).get("train") as never,
    );
    const set = ["--validation-size", "8", "--test-size", "0.2", "--subset", "16"];
    const stop = ["--learning-rate", "0", "--early-stopping-patience", "1"];
    const done = await wgrad([
      "lab",
      "finetune",
      "--model",
      model,
      "--dataset",
      alone,
      ...set,
      ...stop,
      ...into("ft"),
    ]);
    expect(done.err).toMatch(/test: 8 of the 40 rows of train, set aside with seed 42/);
    expect(done.code).toBe(0);
    const run = await readRun(join(place, "ft"));
    expect(run.metrics).toMatchObject({ lab: "finetune", interrupted: false, labels: ["neg", "pos"] });
    // The first evaluation is the best, the second is no better.
    expect(run.metrics.epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(run.metrics.best).toMatchObject({ epoch: 1, metric: "accuracy" });
    expect(run.metrics.best?.value).toBeCloseTo(run.metrics.validation?.eval_accuracy ?? -1, 6);
    expect(run.metrics.parameters?.trainable).toBe(run.metrics.parameters?.all);
    expect(run.recipe).toMatchObject({ lab: "finetune", validation_size: 8, early_stopping_patience: 1 });
    for (const split of ["validation", "test"] as const) {
      const rows = run.predictions[split] ?? [];
      expect(rows).toHaveLength(8);
      const right = rows.filter(({ label, prediction }) => label === prediction).length;
      const figures = run.metrics[split] ?? {};
      expect(right / 8).toBeCloseTo(figures[split === "test" ? "test_accuracy" : "eval_accuracy"] ?? -1, 6);
      const loss = rows.reduce((sum, row) => sum + (row.loss ?? Number.NaN), 0) / 8;
      expect(loss).toBeCloseTo(figures[split === "test" ? "test_loss" : "eval_loss"] ?? -1, 4);
      expect(rows[0]?.text).toMatch(/\w+ /);
    }
  });

  it("goes on after Ctrl-C, and its table has all epochs", async () => {
    const folder = join(place, "stopped");
    const long = ["--num-train-epochs", "6", "--early-stopping-patience", "9", "--logging-steps", "1"];
    const first = start(["lab", "finetune", ...subjects(), ...long, "--subset", "8", "--output-dir", folder]);
    await first.until(/^step 2\//m);
    first.interrupt();
    const stopped = await first.finished;
    expect(stopped.code).toBe(130);
    expect(stopped.out).toContain(`Go on with: wgrad lab finetune ${join(folder, "recipe.yaml")} --resume`);
    const before = await readRun(folder);
    expect(before.metrics.interrupted).toBe(true);
    const resumed = await wgrad(["lab", "finetune", join(folder, "recipe.yaml"), "--resume", "--json"]);
    expect(resumed.code).toBe(0);
    const { metrics } = await readRun(folder);
    expect(JSON.parse(resumed.out)).toEqual(metrics);
    expect(metrics.epochs.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 6 }, (_, i) => i + 1));
    for (const row of metrics.epochs)
      for (const figure of ["train_loss", "eval_loss", "accuracy"])
        expect(row[figure]).toBeGreaterThanOrEqual(0);
    expect(metrics.training.train_runtime).toBeGreaterThan(before.metrics.training.train_runtime ?? 0);
  });
});

describe("lora", () => {
  it("trains an adapter whose folder goes where a model's does", async () => {
    const args = ["--num-train-epochs", "1", "--warmup-steps", "0", ...into("lora")];
    const done = await wgrad(["lab", "lora", ...subjects(), ...args, "--lora-r", "2"]);
    expect(done.code).toBe(0);
    // Adapter 2 × 2 × (32 + 32), classifier 32 × 32 + 32 + 32 × 2 + 2; all with PEFT's untouched copy of the classifier.
    const { trainable, all } = json("lora", "metrics.json").parameters;
    expect(trainable).toBe(256 + 1122);
    const percent = ((100 * trainable) / all).toFixed(4);
    expect(done.out).toContain(
      `trainable params: 1,378 || all params: ${all.toLocaleString("en-US")} || trainable%: ${percent}\n`,
    );
    const names = readdirSync(join(place, "lora"));
    expect(names).toContain("adapter_model.safetensors");
    expect(names).not.toContain("model.safetensors");
    expect(json("lora", "adapter_config.json")).toMatchObject({
      base_model_name_or_path: model,
      r: 2,
      lora_alpha: 32,
      target_modules: ["q_lin", "v_lin"],
    });
    const evaluated = await wgrad(["eval", "--json", "--model", join(place, "lora"), "--dataset", data]);
    const { metrics, report } = JSON.parse(evaluated.out);
    expect(metrics.eval_loss).toBeCloseTo(json("lora", "metrics.json").test.test_loss, 4);
    expect(report.classes).toHaveProperty("pos");

    // The adapter alone, and the model elsewhere.
    const moved = join(place, "moved");
    cpSync(join(place, "lora"), moved, { recursive: true });
    for (const name of ["metrics.json", "tokenizer.json"]) rmSync(join(moved, name));
    const config = json("moved", "adapter_config.json");
    writeFileSync(
      join(moved, "adapter_config.json"),
      JSON.stringify({ ...config, base_model_name_or_path: null }),
    );
    const lost = await wgrad(["predict", "--model", moved, "the plot is good ."]);
    expect(lost.code).toBe(2);
    expect(lost.err).toContain("--base-model");
    const found = await wgrad(["predict", "--model", moved, "--base-model", model, "the plot is good ."]);
    expect(found.code).toBe(0);
    expect(found.out).toMatch(/^LABEL_[01]\t/);

    // The same adapter as one of the hub, in its cache.
    const repository = join(place, "hub/models--me--adapter");
    const commit = "0123456789abcdef0123456789abcdef01234567";
    cpSync(moved, join(repository, "snapshots", commit), { recursive: true });
    mkdirSync(join(repository, "refs"), { recursive: true });
    writeFileSync(join(repository, "refs/main"), commit);
    const cached = await wgrad(
      ["predict", "--offline", "--model", "me/adapter", "--base-model", model, "the plot is good ."],
      { env: { HF_HUB_CACHE: join(place, "hub") } },
    );
    expect(cached.out).toBe(found.out);
  });

  it("is what wgrad train does with flags of an adapter", async () => {
    const flags = [
      "--lora-target-modules",
      "all-linear",
      "--use-rslora",
      "--max-steps",
      "1",
      ...into("flags"),
    ];
    const done = await wgrad(["train", ...subjects(), ...flags, "--subset", "8"]);
    expect(done.code).toBe(0);
    expect(done.out).toContain("trainable params: ");
    expect(parse(readFileSync(join(place, "flags", "recipe.yaml"), "utf8")).peft).toEqual({
      peft_type: "LORA",
      task_type: "SEQ_CLS",
      target_modules: "all-linear",
      use_rslora: true,
    });
  });
});

describe("mlm", () => {
  it("pre-trains, fine-tunes from there and from the original, and does no finished stage again", async () => {
    const args = ["--subset", "16", "--num-train-epochs", "1", ...into("mlm")];
    const done = await wgrad(["lab", "mlm", ...subjects(), ...args]);
    expect(done.err).not.toContain("wgrad:");
    expect(done.code).toBe(0);
    expect(done.out).toMatch(
      /^Before pre-training: loss \d\.\d{4} on masked tokens of validation, perplexity/m,
    );
    expect(done.out).toMatch(/^pre-trained on +\S+( +\d\.\d{4}){3}$/m);
    expect(done.out).toMatch(/^original +\S+( +\d\.\d{4}){3}$/m);
    const { before, after } = json("mlm", "pretraining", "mlm.json");
    expect(after.loss).toBeLessThan(before.loss);
    for (const stage of ["pretraining", "finetuned", "baseline"]) {
      expect(existsSync(join(place, "mlm", stage, "model.safetensors"))).toBe(true);
      await readRun(join(place, "mlm", stage));
    }
    expect(parse(readFileSync(join(place, "mlm", "finetuned", "recipe.yaml"), "utf8")).model).toBe(
      join(place, "mlm", "pretraining"),
    );
    const again = await wgrad(["lab", "mlm", join(place, "mlm", "recipe.yaml"), "--resume", "--json"], {
      env: noGpu,
    });
    expect(again.code).toBe(0);
    expect(JSON.parse(again.out).masked_language_modelling).toEqual({ before, after });
    const train = await wgrad(["train", join(place, "mlm", "recipe.yaml")], { env: noGpu });
    expect(train.code).toBe(2);
    expect(train.err).toContain(`wgrad lab mlm ${join(place, "mlm", "recipe.yaml")}`);
  });
});
