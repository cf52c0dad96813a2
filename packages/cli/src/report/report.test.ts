import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Prediction } from "../runs/run-folder.js";
import { readRun } from "../runs/run-folder.js";
import { sampleRun } from "../testing/runs.js";
import { barChart, lineChart, sideBySide } from "./charts.js";
import { reportOf } from "./data.js";
import { escapeText } from "./escape.js";
import { reportPage } from "./page.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "wgrad-report-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const dashes = (svg: string) => [...svg.matchAll(/stroke-dasharray="([^"]*)"/g)].map(([, dash]) => dash);

describe("charts", () => {
  it("tells lines apart without colour, and says in words what they show", () => {
    const svg = lineChart({
      title: "Loss <1>",
      xLabel: "epoch",
      yLabel: "loss",
      series: [
        {
          name: "training",
          points: [
            [1, 0.5],
            [2, 0.25],
          ],
        },
        {
          name: "validation",
          points: [
            [1, 0.6],
            [2, 0.4],
          ],
        },
      ],
    });
    expect(svg).toContain(
      'aria-label="Loss &lt;1&gt;: training from 0.5 to 0.25; validation from 0.6 to 0.4"',
    );
    expect(new Set(dashes(svg)).size).toBe(1);
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg).not.toMatch(/NaN|undefined|https?:\/\/(?!www\.w3\.org)/);
  });

  it("keeps to what was asked where a dash is", () => {
    const points = [
      [0, 1],
      [1, 2],
    ] as const;
    const chart = (dash: boolean) =>
      lineChart({ title: "t", xLabel: "x", yLabel: "y", series: [{ name: "a", points, dash }] });
    expect(dashes(chart(true))).toEqual(["7 3", "7 3"]);
    expect(dashes(chart(false))).toEqual([]);
  });

  it("stands gaps, one point, equal points and none", () => {
    const chart = (points: [number, number][]) =>
      lineChart({ title: "t", xLabel: "x", yLabel: "y", series: [{ name: "a", points, smooth: true }] });
    for (const points of [
      [
        [1, Number.NaN],
        [2, 3],
        [3, Number.POSITIVE_INFINITY],
        [4, 5],
      ],
      [[1, 5]],
      [
        [1, 5],
        [2, 5],
      ],
      Array.from({ length: 5000 }, (_, i) => [i, i % 7 === 0 ? Number.NaN : i % 5]),
    ] as [number, number][][])
      expect(chart(points)).not.toMatch(/NaN|Infinity|undefined/);
    expect(chart([])).toContain("no values to show");
    expect(chart([[1, Number.NaN]])).toContain("no values to show");
  });

  it("draws as many points as can be seen, with the spikes", () => {
    const points = Array.from({ length: 50_000 }, (_, i) => [i, i === 31_234 ? 9 : 1] as const);
    const svg = lineChart({ title: "t", xLabel: "x", yLabel: "y", series: [{ name: "a", points }] });
    expect(svg.length).toBeLessThan(30_000);
    // The axis goes up to it, and so does the line.
    expect(svg).toContain(">10<");
    expect(svg).toMatch(/,44\.8L/);
  });

  it("keeps names and figures of bars as they are given", () => {
    const svg = barChart({
      title: "t",
      xLabel: "accuracy",
      bars: [
        { name: "a", value: 0.8425, label: "0.8425" },
        { name: "a", value: Number.NaN, label: "–" },
      ],
    });
    expect(svg).toContain(">0.8425<");
    expect(svg).toContain(">–<");
  });

  it("puts charts into one picture", () => {
    const one = barChart({ title: "t", xLabel: "x", bars: [{ name: "a", value: 1, label: "1" }] });
    const both = sideBySide([one, one]);
    expect(both.match(/<style>/g)).toHaveLength(1);
    expect(both).toContain('width="936"');
  });
});

it("escapes what has a meaning, and shows what cannot be shown", () => {
  expect(escapeText(`<a href='x'>&"`)).toBe("&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
  expect(escapeText("a\u0000b\u001b[1m\x7f\r\nc\td\ud800e😀")).toBe("a␀b␛[1m␡\nc\td\uFFFDe😀");
});

describe("the data of a report", () => {
  const prediction = (text: string, label: number | null, logits: number[]): Prediction => ({
    text,
    label,
    prediction: logits.indexOf(Math.max(...logits)),
    logits,
    loss: label === null ? null : Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0)) - logits[label]!,
  });
  const report = (predictions: Prediction[], examples = 2, labels = ["neg", "pos"]) =>
    reportOf(
      {
        name: "r",
        folder,
        recipe: {
          model: "/data/models/tiny",
          dataset: "cornell/rotten",
          learning_rate: 0.00002,
          peft: { r: 8 },
        },
        log: [],
        pictures: null,
        predictions: { test: predictions },
        metrics: {
          lab: "train",
          interrupted: false,
          output_dir: folder,
          global_step: 1,
          epochs: [],
          validation: null,
          test: null,
          training: {},
          parameters: null,
          best: null,
          labels,
          machine: {},
        },
      },
      examples,
    );

  it("counts, and orders by loss without naming an example twice", () => {
    const { splits, configuration, model, dataset } = report([
      prediction("sure", 1, [0, 4]),
      prediction("wrong", 0, [0, 2]),
      prediction("unsure", 0, [0.5, 0]),
      prediction("no label", null, [0, 1]),
    ]);
    const [split] = splits;
    expect(split).toMatchObject({
      examples: 4,
      unlabelled: 1,
      confusion: [
        [1, 1],
        [0, 1],
      ],
    });
    expect(split!.worst.map(({ text }) => text)).toEqual(["wrong", "unsure"]);
    expect(split!.best.map(({ text }) => text)).toEqual(["sure"]);
    expect(split!.worst[0]!.confidence).toBeCloseTo(Math.exp(2) / (1 + Math.exp(2)), 12);
    expect(split!.report!.accuracy).toBeCloseTo(2 / 3, 12);
    expect([model, dataset]).toEqual(["tiny", "cornell/rotten"]);
    expect(configuration).toContainEqual(["learning_rate", "2e-5"]);
    expect(configuration).toContainEqual(["peft.r", "8"]);
  });

  it("takes one logit for that of the second class", () => {
    const { splits } = report([{ text: "a", label: 1, prediction: 1, logits: [3], loss: 0.05 }]);
    expect(splits[0]!.worst[0]!.confidence).toBeCloseTo(1 / (1 + Math.exp(-3)), 12);
  });

  it("stands figures that are not finite, classes of one name, and none with a label", () => {
    const nan = Number.NaN;
    const { splits } = report(
      [{ text: "a", label: 0, prediction: 1, logits: [nan, nan], loss: nan }, prediction("b", 2, [0, 0, 1])],
      5,
      ["x", "x"],
    );
    expect(splits[0]!.worst).toHaveLength(1);
    expect(splits[0]!.labels).toEqual(["x", "x (1)", "2"]);
    expect(report([prediction("a", null, [1, 0])]).splits[0]).toMatchObject({ confusion: null, worst: [] });
  });
});

describe("the page", () => {
  const page = async (
    name: string,
    options: Parameters<typeof sampleRun>[1],
    change?: () => Promise<void>,
  ) => {
    await sampleRun(join(folder, name), options);
    await change?.();
    const run = await readRun(join(folder, name));
    return reportPage([run], [reportOf(run, 3)], name);
  };
  const gaps = /\{\{|undefined|NaN|Infinity|\[object|null/;

  it("is whole without validation, test, epochs or figures", async () => {
    const bare = await page("bare", {
      epochs: 0,
      hasTest: false,
      hasValidation: false,
      metrics: { interrupted: true, training: {}, machine: {}, parameters: null, labels: [] },
    });
    expect(bare).not.toMatch(gaps);
    expect(bare).toContain("This run has not come to its end");
    expect(bare).toContain("Predictions are written when a run ends.");
  });

  it("tells further accuracies, and leaves classes without examples out of a long table", async () => {
    const many = await page("many", {
      classes: 30,
      examples: 12,
      metrics: {
        test: { test_accuracy: 0.5, test_top5_accuracy: 0.8125, test_samples_per_second: 3 },
        validation: { eval_accuracy: 0.5, eval_top5_accuracy: 0.9375 },
      },
    });
    expect(many).not.toMatch(gaps);
    expect(many).toMatch(
      /<th scope="row" class="words">top5<\/th><td class="figure">0.8125<\/td><td class="figure">0.9375</,
    );
    expect(many).toMatch(/\d+ classes without examples are not in the table\./);
    expect(await page("few", { classes: 3 })).not.toMatch(/Further accuracies|classes without examples/);
  });

  it("shows a run of which there is only a log, with values that are no numbers", async () => {
    const log = join(folder, "going-on", "log.jsonl");
    const going = await page("going-on", { hasTest: false, hasValidation: false }, async () => {
      await rm(join(folder, "going-on", "metrics.json"));
      await writeFile(
        log,
        '{"loss": NaN, "step": 10, "epoch": 0.5}\n{"loss": 0.5, "grad_norm": Infinity, "step": 20, "epoch": 1}\n{"eval_loss": 0.4, "eval_accuracy": 0.75, "step": 20, "epoch": 1}\n{"loss": 0.3, "st',
      );
    });
    expect(going).not.toMatch(gaps);
    expect(going).toContain("interrupted after step 20, or is still going on");
    expect(going).toContain("0.7500");
  });
});
