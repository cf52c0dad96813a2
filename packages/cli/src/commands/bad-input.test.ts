/** Bad input, each in a real process: a message of one screen that names the file, what was found and what to do. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassLabel, Dataset, Value } from "@wgrad/datasets";
import { readSafetensors, writeSafetensors } from "@wgrad/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Finished, makeTinyData, makeTinyModel, wgrad, writeSplit } from "../testing/process.js";

let place: string;
let model: string;
let data: string;
const TEXT = "the plot is good .";

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-bad-"));
  model = await makeTinyModel(join(place, "model"));
  data = makeTinyData(join(place, "data"));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** Says what went wrong in a screen, without a stack trace. */
function expectMessage(done: Finished, code: number, ...parts: (string | RegExp)[]): void {
  expect(done.err).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  for (const part of parts) {
    if (typeof part === "string") expect(done.err).toContain(part);
    else expect(done.err).toMatch(part);
  }
  expect(done.err.split("\n").length).toBeLessThan(24);
  expect(done.err.length).toBeLessThan(2400);
  expect(done.code).toBe(code);
}

/** A copy of the model that `change` then damages. */
function damaged(name: string, change: (weights: string) => void): string {
  const folder = join(place, name);
  cpSync(model, folder, { recursive: true });
  change(join(folder, "model.safetensors"));
  return folder;
}

/** Rewrites the tensors of a safetensors file. */
function edit(
  file: string,
  change: (tensors: Map<string, { dtype: "F32"; shape: number[]; bytes: Uint8Array }>) => void,
): void {
  const stored = readSafetensors(readFileSync(file), { file });
  const tensors = new Map(
    [...stored.tensors.keys()].map((name) => {
      const { shape, bytes } = stored.get(name);
      return [name, { dtype: "F32" as const, shape: [...shape], bytes: Uint8Array.from(bytes) }];
    }),
  );
  change(tensors);
  writeFileSync(file, writeSafetensors(tensors));
}

describe("the machine", () => {
  const none = { env: { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" } };

  it("has no adapter", async () => {
    expectMessage(
      await wgrad(["predict", "--model", model, TEXT], none),
      1,
      "no WebGPU adapter",
      "wgrad doctor",
    );
  });

  it("has no adapter, and doctor says what to install", async () => {
    const done = await wgrad(["doctor"], none);
    expect(done.code).toBe(1);
    expect(done.out).toMatch(/✗ Driver .*\/nonexistent/);
    expect(done.out).toContain("unset VK_DRIVER_FILES");
    expect(done.out).toMatch(/✗ Adapter/);
  });
});

describe("a model", () => {
  it("is a folder without one", async () => {
    const folder = join(place, "no-model");
    mkdirSync(folder);
    writeFileSync(join(folder, "notes.txt"), "nothing");
    expectMessage(
      await wgrad(["predict", "--model", folder, TEXT]),
      1,
      folder,
      "notes.txt",
      "config.json and model.safetensors",
    );
  });

  it("is a path that leads nowhere", async () => {
    expectMessage(
      await wgrad(["predict", "--model", "./no/such/folder", TEXT]),
      1,
      "./no/such/folder",
      "no folder",
    );
  });

  it("has a truncated safetensors file", async () => {
    const folder = damaged("truncated", (file) => truncateSync(file, 20_000));
    expectMessage(
      await wgrad(["predict", "--model", folder, TEXT]),
      1,
      join(folder, "model.safetensors"),
      /20,?000|bytes/,
    );
  });

  it("has a corrupt safetensors file", async () => {
    const folder = damaged("corrupt", (file) => {
      const bytes = readFileSync(file);
      bytes.fill(0x7b, 8, 200);
      writeFileSync(file, bytes);
    });
    expectMessage(await wgrad(["predict", "--model", folder, TEXT]), 1, join(folder, "model.safetensors"));
  });

  it("lacks a weight", async () => {
    const name = "distilbert.transformer.layer.0.ffn.lin1.weight";
    const folder = damaged("missing", (file) => edit(file, (tensors) => tensors.delete(name)));
    expectMessage(await wgrad(["predict", "--model", folder, TEXT]), 1, folder, name);
    expectMessage(
      await wgrad(["train", "--model", folder, "--dataset", data, "--output-dir", join(place, "x1")]),
      1,
      folder,
      name,
    );
  });

  it("lacks the classifier, which predicting and evaluating need", async () => {
    const folder = damaged("headless", (file) =>
      edit(file, (tensors) => tensors.delete("classifier.weight")),
    );
    expectMessage(
      await wgrad(["predict", "--model", folder, TEXT]),
      1,
      folder,
      "classifier.weight",
      "wgrad train",
    );
  });

  it("has a weight of another shape", async () => {
    const name = "distilbert.transformer.layer.0.ffn.lin1.weight";
    const folder = damaged("misshaped", (file) =>
      edit(file, (tensors) =>
        tensors.set(name, { dtype: "F32", shape: [16, 32], bytes: new Uint8Array(16 * 32 * 4) }),
      ),
    );
    expectMessage(await wgrad(["predict", "--model", folder, TEXT]), 1, folder, name, "[16, 32]", "[64, 32]");
  });

  it("has a config that is no JSON", async () => {
    const folder = damaged("no-json", () => {});
    writeFileSync(join(folder, "config.json"), "{");
    expectMessage(await wgrad(["predict", "--model", folder, TEXT]), 1, join(folder, "config.json"));
  });
});

describe("a data set", () => {
  const evaluate = (folder: string, ...more: string[]) =>
    wgrad(["eval", "--model", model, "--dataset", folder, ...more]);

  it("is not there", async () => {
    expectMessage(await evaluate(join(place, "nowhere")), 1, join(place, "nowhere"));
  });

  it("is a Parquet file that was cut short", async () => {
    const folder = join(place, "cut");
    cpSync(data, folder, { recursive: true });
    const file = join(folder, "test.parquet");
    truncateSync(file, 500);
    expectMessage(await evaluate(folder), 1, file);
  });

  it("has no such column", async () => {
    expectMessage(await evaluate(data, "--text-column", "txt"), 1, '"txt"', 'Did you mean "text"');
  });

  it("has no such split", async () => {
    expectMessage(await evaluate(data, "--split", "tests"), 1, '"tests"', "train, validation, test");
  });

  it("has a label that the model does not know", async () => {
    const rows = Dataset.fromDict(
      { text: [TEXT, TEXT], label: [1, 7] },
      { text: new Value("string"), label: new Value("int64") },
    );
    expectMessage(
      await evaluate(writeSplit(join(place, "label-7"), "test", rows)),
      1,
      "row 1",
      "7",
      "neg, pos",
    );
  });

  it("has a label outside of its own classes", async () => {
    const features = { text: new Value("string"), label: new ClassLabel(["neg", "pos", "odd"]) };
    const folder = writeSplit(
      join(place, "label-2"),
      "test",
      Dataset.fromDict({ text: [TEXT, TEXT], label: [0, 2] }, features),
    );
    const file = join(folder, "test.parquet");
    // The third name goes from the metadata, the label that means it stays.
    const bytes = readFileSync(file).toString("latin1").replaceAll(',"odd"]', "]      ");
    writeFileSync(file, Buffer.from(bytes, "latin1"));
    expectMessage(await evaluate(folder), 1, /label 2|is 2/, "neg, pos");
  });

  it("has a text that is null", async () => {
    const rows = Dataset.fromDict(
      { text: [TEXT, null], label: [0, 1] },
      { text: new Value("string"), label: new Value("int64") },
    );
    expectMessage(await evaluate(writeSplit(join(place, "null-text"), "test", rows)), 1, "row 1", "null");
  });

  it("has an empty text, which stays, with a remark", async () => {
    const rows = Dataset.fromDict(
      { text: [TEXT, ""], label: [0, 1] },
      { text: new Value("string"), label: new Value("int64") },
    );
    expectMessage(
      await evaluate(writeSplit(join(place, "empty-text"), "test", rows)),
      0,
      "1 of 2 texts are empty",
    );
  });
});

describe("a text", () => {
  it("is empty", async () => {
    expectMessage(await wgrad(["predict", "--model", model, TEXT, ""]), 2, "text 2 is empty");
  });

  it("does not come", async () => {
    expectMessage(await wgrad(["predict", "--model", model], { input: "\n\n" }), 2, "stdin holds no text");
  });

  it("is longer than 512 tokens", async () => {
    const done = await wgrad(["predict", "--model", model, "good ".repeat(600)]);
    expectMessage(done, 0, "text 1 has 602 tokens", "first 512");
    expect(done.out).toMatch(/^(neg|pos)\t0\.\d{4}\tgood/);
  });

  it("is asked to be longer than the model's positions", async () => {
    expectMessage(
      await wgrad(["predict", "--model", model, "--max-length", "600", TEXT]),
      2,
      "512 positions",
    );
  });
});

describe("a command line", () => {
  it.each([
    [["trian"], "Did you mean train?"],
    [["train", "--learning-rte", "1"], "Did you mean --learning-rate?"],
    [["train", "--learning-rate", "fast"], "not a number"],
    [["train", "--dataset", "x"], "--model is missing"],
    [["train", "--model", "x", "--dataset", "y", "--learning-rate", "-1"], "learningRate"],
    [["train", "--model", "x", "--dataset", "y", "--lr-scheduler-type", "lineal"], "linear"],
    [["verify", "--only", "opts"], "The sets are ops"],
    [["eval", "--model", "x"], "--dataset"],
  ])("%j", async (args, message) => {
    expectMessage(await wgrad(args), 2, message);
  });

  it("names a recipe with an unknown key", async () => {
    const file = join(place, "recipe.yaml");
    writeFileSync(file, "model: x\ndataset: y\nlerning_rate: 5e-5\n");
    expectMessage(await wgrad(["train", file]), 2, file, "lerning_rate", "learning_rate");
  });

  it("names a recipe that is no YAML", async () => {
    const file = join(place, "broken.yaml");
    writeFileSync(file, "model: [x\n");
    expectMessage(await wgrad(["train", file]), 2, file, "not YAML");
  });

  it("gives the error as JSON with --json", async () => {
    const done = await wgrad(["eval", "--json", "--model", model, "--dataset", join(place, "nowhere")]);
    expect(done.code).toBe(1);
    expect(JSON.parse(done.out)).toMatchObject({ error: { code: "E_FILE_NOT_FOUND" } });
  });
});

const canMount = process.platform === "linux" && process.getuid?.() === 0 && tryMount();

function tryMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { stdio: "ignore" });
    execFileSync("umount", [folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.skipIf(!canMount)(`a full disk${canMount ? "" : " (needs root and mount)"}`, () => {
  it("leaves the last good checkpoint and nothing half written", async () => {
    const disk = join(place, "disk");
    mkdirSync(disk);
    // One checkpoint of this model takes about 600 kB, optimizer included.
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
    try {
      const out = join(disk, "run");
      const done = await wgrad([
        "train",
        "--model",
        model,
        "--dataset",
        data,
        "--output-dir",
        out,
        "--num-train-epochs",
        "3",
      ]);
      expectMessage(done, 1, disk, "disk is full", "free");
      const names = readdirSync(out);
      expect(names).toContain("checkpoint-4");
      expect(names.filter((name) => name.endsWith(".tmp"))).toEqual([]);
      const good = join(out, "checkpoint-4");
      expect(existsSync(join(good, "model.safetensors"))).toBe(true);
      expect((await wgrad(["predict", "--model", good, TEXT])).code).toBe(0);
    } finally {
      execFileSync("umount", [disk]);
    }
  });
});
