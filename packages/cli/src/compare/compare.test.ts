import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { lab } from "../labs/compare/index.js";
import { readRun, readRuns } from "../runs/run-folder.js";
import { sampleFeaturesRun, sampleRun } from "../testing/runs.js";
import { Ui } from "../ui.js";
import { sorted } from "./columns.js";
import { compareRuns } from "./compare.js";
import { comparisonMarkdown, comparisonText } from "./format.js";
import { comparisonRows, differingSettings } from "./rows.js";

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "wgrad-compare-"));
  await sampleRun(at("runs", "full"), {});
  await sampleRun(at("runs", "lora"), {
    learningRate: 5e-4,
    hasTest: false,
    metrics: { lab: "lora", parameters: { trainable: 887_042, all: 67_842_052 }, best: null },
    recipe: { peft: { r: 16, target_modules: ["q_lin", "v_lin"] } },
  });
  await sampleFeaturesRun(at("runs", "svm"));
  await mkdir(at("empty"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("reading runs", () => {
  it("takes a folder of runs for those, each once, told apart by name", async () => {
    await sampleRun(at("again", "full"), {});
    const runs = await readRuns([at("runs"), at("runs", "full"), at("again", "full")]);
    expect(runs.map(({ name }) => name)).toEqual(["runs/full", "lora", "svm", "again/full"]);
  });

  it.each([
    ["empty", "neither metrics.json nor log.jsonl. Give the output folder of wgrad train or wgrad lab."],
    ["missing", "there is no such folder"],
    ["runs", "it holds 3. Give one of them"],
    ["runs/full/checkpoint-5", "this is a checkpoint. Give the folder of its run"],
  ])("says of %s what is wrong and what to do", async (name, message) => {
    await mkdir(at("runs", "full", "checkpoint-5"), { recursive: true });
    await expect(readRun(at(name))).rejects.toThrow(`${at(name)}: `);
    await expect(readRun(at(name))).rejects.toThrow(message);
  });

  it("fills in what older runs did not write", async () => {
    await mkdir(at("old"));
    await writeFile(
      at("old", "metrics.json"),
      '{"global_step": 5, "test": {"test_accuracy": 0.5}, "training": {}}',
    );
    const [row] = comparisonRows([await readRun(at("old"))]);
    expect(row).toMatchObject({
      lab: "train",
      test_accuracy: 0.5,
      trainable_parameters: null,
      adapter: null,
    });
  });

  it("names the line that is no JSON", async () => {
    await sampleRun(at("broken"), {});
    await writeFile(at("broken", "log.jsonl"), '{"step": 1}\nbroken\n{"step": 2}\n');
    await expect(readRun(at("broken"))).rejects.toThrow(/log\.jsonl: line 2 is no JSON/);
  });
});

describe("the comparison", () => {
  it("has a row a run, and one a classifier", async () => {
    const rows = comparisonRows(await readRuns([at("runs")]));
    expect(rows.map(({ name }) => name)).toEqual([
      "full",
      "lora",
      "svm: cls SVC(kernel=linear)",
      "svm: cls SVC(kernel=rbf)",
      "svm: cls LinearSVC",
      "svm: cls LogisticRegression",
      "svm: mean SVC(kernel=rbf)",
    ]);
    // Where the run did not choose, the epoch of the largest accuracy.
    expect(rows[1]).toMatchObject({
      test_accuracy: null,
      best_epoch: 2,
      best_value: 0.833,
      trainable_parameters: 887_042,
    });
    expect(rows[6]).toMatchObject({
      test_accuracy: 0.773,
      validation_accuracy: 0.79,
      train_seconds: 2.5,
      steps: null,
    });
  });

  it("sorts the best first and what has no value last", async () => {
    const rows = comparisonRows(await readRuns([at("runs")]));
    const names = (by: string) => sorted(rows, by).map(({ name }) => name);
    expect(names("test_accuracy").slice(0, 2)).toEqual(["full", "svm: mean SVC(kernel=rbf)"]);
    expect(names("test-accuracy").at(-1)).toBe("lora");
    expect(names("training-time")[0]).toMatch(/^svm/);
    expect(() => sorted(rows, "test-acuracy")).toThrow("Did you mean test-accuracy?");
  });

  it("prints a table, the settings that differ, and – for what is missing", async () => {
    const runs = await readRuns([at("runs", "full"), at("runs", "lora")]);
    const text = comparisonText(comparisonRows(runs), runs);
    expect(text).toMatch(/^run +test accuracy +test F1 /);
    expect(text).toMatch(
      /\nlora +– +– +0\.8280 +0\.4300 +2 \(accuracy 0\.8330\) +887,042 +1,602 +36 min +1\.26 GB/,
    );
    expect(text).toContain("Adapter: llvmpipe");
    expect(text).toMatch(/learning_rate +5e-5 +5e-4/);
    expect(text).toMatch(/peft\.target_modules +– +q_lin, v_lin/);
    expect(differingSettings(runs).map(({ name }) => name)).toEqual([
      "learning_rate",
      "peft.r",
      "peft.target_modules",
    ]);
  });

  it("writes Markdown whose cells stay cells", async () => {
    const runs = await readRuns([at("runs", "full"), at("runs", "svm")]);
    const [full, ...others] = comparisonRows(runs);
    const text = comparisonMarkdown([{ ...full!, name: "a|b\n*c*" }, ...others], runs);
    const lines = text.split("\n").slice(0, 8);
    expect(lines[2]).toContain("a\\|b \\*c\\*");
    for (const line of lines.slice(0, 8))
      if (line.startsWith("|")) expect(line.match(/(?<!\\)\|/g)).toHaveLength(lines[0]!.match(/\|/g)!.length);
    expect(text).toMatch(/\*\*0\.\d{4}\*\*/);
  });

  it("writes the files that are asked for, and gives the same as data", async () => {
    const written = vi.spyOn(process.stdout, "write").mockReturnValue(true);
    vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const options = { markdown: at("c.md"), html: at("c.html"), format: "markdown", sort: "run" };
    const document = await compareRuns([at("runs")], options, new Ui({ live: false }));
    const printed = written.mock.calls.map(([text]) => String(text)).join("");
    vi.restoreAllMocks();
    expect(printed.trim()).toBe((await readFile(at("c.md"), "utf8")).trim());
    const page = await readFile(at("c.html"), "utf8");
    expect(page).toContain("<title>full · lora · svm</title>");
    expect(page).not.toMatch(/NaN|undefined|\[object/);
    expect((document.rows as unknown[]).length).toBe(7);
    await expect(compareRuns([at("runs")], { format: "pdf" }, new Ui({ json: true }))).rejects.toThrow(
      "expected one of table, markdown, html",
    );
  });

  it("is a lab that leaves out what is not there", async () => {
    const notes = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const context = (runs: string[]) => ({
      settings: { runs, sort: "test-accuracy" },
      offline: true,
      resume: false,
      overwrite: false,
      ui: new Ui({ json: true, live: false }),
      exit: () => {},
    });
    const document = (await lab.run(context([at("runs", "full"), at("none")]))) as { rows: unknown[] };
    expect(document.rows).toHaveLength(1);
    expect(String(notes.mock.calls[0]![0])).toContain(`${at("none")}: there is no such folder`);
    await expect(lab.run(context([at("none")]))).rejects.toThrow("none of the runs is there");
    vi.restoreAllMocks();
  });
});
