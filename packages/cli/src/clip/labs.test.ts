/** wgrad zero-shot and the labs on a frozen CLIP as commands, on a small model and pictures of plain colours. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { run } from "../run.js";
import { readRun } from "../runs/run-folder.js";
import { makePictures, makeTinyClip } from "../testing/clip.js";
import { wgrad } from "../testing/process.js";

const NAMES = ["red sky", "green hill", "blue lake"];
const noGpu = { env: { VK_DRIVER_FILES: "/nonexistent" } };

let place: string;
let model: string;
let data: string;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), "wgrad-clip-labs-"));
  model = await makeTinyClip(
    join(place, "model"),
    NAMES.map((name) => `a photo of a ${name}`),
  );
  data = await makePictures(join(place, "data"), 8);
  writeFileSync(join(place, "broken.jpg"), "no picture");
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const subjects = () => [
  "--model",
  model,
  "--dataset",
  data,
  "--features-dir",
  join(place, "features"),
  "--offline",
];

describe("wgrad lab clip-zero-shot", () => {
  const folder = () => join(place, "zero-shot");

  it("tells the classes of a folder of pictures and leaves a run with its grid", async () => {
    const done = await wgrad([
      "lab",
      "clip-zero-shot",
      ...subjects(),
      "--output-dir",
      folder(),
      "--grid-size",
      "6",
    ]);
    expect(done.err).toMatch(/validation: 24 pictures in .* a second/);
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/^split +pictures +top-1 +top-5 +loss/m);
    const left = await readRun(folder());
    expect(left.metrics).toMatchObject({ lab: "clip-zero-shot", test: null, labels: [...NAMES].sort() });
    const rows = left.predictions.validation ?? [];
    expect(rows).toHaveLength(24);
    const right = rows.filter(({ label, prediction }) => label === prediction).length;
    expect(left.metrics.validation?.eval_accuracy).toBeCloseTo(right / 24, 6);
    expect(left.pictures?.pictures).toHaveLength(6);
    for (const { lines, right: isRight } of left.pictures?.pictures ?? [])
      expect(isRight).toBe(lines[0]?.startsWith(`${lines[1]?.slice("true: ".length)} `));
    for (const name of ["grid.png", "grid.html", "report.txt", "recipe.yaml"])
      expect(existsSync(join(folder(), name)), name).toBe(true);
  });

  it("encodes nothing twice: the same again needs no GPU, and is a page with its pictures", async () => {
    const again = await wgrad(["lab", "clip-zero-shot", join(folder(), "recipe.yaml"), "--json"], noGpu);
    expect(again.err).toMatch(/prompts: their features are there already/);
    expect(again.code).toBe(0);
    expect(JSON.parse(again.out).validation).toEqual((await readRun(folder())).metrics.validation);
    const report = await wgrad(["report", folder()], noGpu);
    expect(report.code).toBe(0);
    const page = readFileSync(join(folder(), "report.html"), "utf8");
    expect(page).toContain("Pictures from validation");
    expect(page.match(/<img src="data:image/g)).toHaveLength(6);
  });
});

describe("wgrad lab clip-linear-probe", () => {
  it("learns the classes from features, of which those of validation are there already", async () => {
    const folder = join(place, "probe");
    const args = [
      ...subjects(),
      "--output-dir",
      folder,
      "--features",
      "pooled,projected",
      "--grid-size",
      "0",
    ];
    const done = await wgrad(["lab", "clip-linear-probe", ...args]);
    expect(done.err).toMatch(/validation: features of 24 pictures are there already/);
    expect(done.code).toBe(0);
    const { metrics, predictions } = await readRun(folder);
    expect(metrics.classifiers?.map(({ features, classifier }) => `${features} ${classifier}`)).toEqual([
      "pooled 64 LogisticRegression C=0.1",
      "projected 64 LogisticRegression C=10",
    ]);
    // Plain colours are told apart even by what random weights make of them.
    expect(metrics.validation?.eval_accuracy).toBe(1);
    expect(metrics.parameters?.trainable).toBe(3 * 64 + 3);
    expect(predictions.validation).toHaveLength(24);
    expect(readdirSync(folder)).not.toContain("grid.png");
  });
});

describe("wgrad zero-shot", () => {
  it("gives the probability of every label for files and folders, and a grid", async () => {
    const lake = join(data, "validation", "blue_lake");
    const grid = join(place, "out.html");
    const labels = ["--labels", NAMES.join(","), "--model", model];
    const files = [join(place, "broken.jpg"), lake];
    const done = await wgrad([
      "zero-shot",
      ...files,
      ...labels,
      "--skip-unreadable",
      "--grid",
      grid,
      "--json",
    ]);
    expect(done.err).toMatch(/1 could not be read/);
    expect(done.code).toBe(0);
    const verdicts: { picture: string; label: string | null; probabilities: Record<string, number> }[] =
      JSON.parse(done.out);
    expect(verdicts.map(({ picture }) => picture)).toEqual([
      files[0],
      ...Array.from({ length: 8 }, (_, i) => join(lake, `${i}.png`)),
    ]);
    expect(verdicts[0]).toMatchObject({ label: null, probabilities: {} });
    for (const { label, probabilities } of verdicts.slice(1)) {
      expect(Object.keys(probabilities).sort()).toEqual([...NAMES].sort());
      expect(Object.values(probabilities).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
      expect(probabilities[label!]).toBe(Math.max(...Object.values(probabilities)));
    }
    expect(readFileSync(grid, "utf8").match(/<li class="open">/g)).toHaveLength(8);
  });

  it("names the picture that cannot be read, and the flag that goes on", async () => {
    const done = await inProcess([
      "zero-shot",
      join(place, "broken.jpg"),
      "--labels",
      "a,b",
      "--model",
      model,
    ]);
    expect(done.err).toMatch(/broken\.jpg: the picture cannot be read.*--skip-unreadable/);
    expect(done.code).toBe(1);
  });

  it.each([
    [["a.jpg"], /no labels.*--labels "cat,dog,car"/],
    [["a.jpg", "--labels", "a,b"], /a\.jpg: there is no such file/],
    [["a.jpg", "--labels", "a"], /only "a"/],
    [["a.jpg", "--labels", "a,b", "--labels-file", "x"], /give one of them/],
    [["a.jpg", "--labels-file", "x"], /--labels-file x: there is no such file/],
    [["a.jpg", "--labels", "a,b", "--template", "a"], /no place for the name/],
    [["a.jpg", "--labels", "a,b", "--grid", "x.gif"], /ends in \.html or \.png/],
  ])("%j is wrong use", async (args, message) => {
    const done = await inProcess(["zero-shot", ...args]);
    expect(done.err).toMatch(message);
    expect(done.code).toBe(2);
  });
});

/** Runs `wgrad` without a process of its own, which costs a second. */
async function inProcess(args: readonly string[]): Promise<{ code: number; err: string }> {
  let err = "";
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    const code = await run(args);
    return { code, err };
  } finally {
    write.mockRestore();
  }
}
