/** Lab: CLIP tells the classes of pictures from their names alone. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "@wgrad/models/node";
import { type Collected, collectFeatures } from "../../clip/collect.js";
import { DEFAULT_TEMPLATE, expandTemplates, promptsOf } from "../../clip/prompts.js";
import { type Judged, predictionRows, saveGrid, subjectOf, writeRecipe } from "../../clip/save.js";
import { formatScores } from "../../clip/score-table.js";
import {
  ensembleOf,
  figuresOf,
  type Scores,
  scoresOf,
  similarityLogits,
  unitRows,
} from "../../clip/scores.js";
import { CLIP_SETTINGS, type ClipLabSettings, clipLabSettings } from "../../clip/settings.js";
import { type ImageSplits, openSplits, type Role } from "../../clip/splits.js";
import { UsageError } from "../../errors.js";
import { type RunMetrics, writeMetrics, writePredictions } from "../../runs/run-folder.js";
import { formatClassificationReport } from "../../text/classification-report.js";
import { confusedPairs } from "../../text/confused-pairs.js";
import { formatTable } from "../../text/table.js";
import { machine } from "../../training/monitor.js";
import type { Lab, LabContext } from "../lab.js";

const ZERO_SHOT = "Zero-shot:";

export const lab: Lab = {
  name: "clip-zero-shot",
  summary: "CLIP tells pictures apart by the names of their classes alone: nothing is trained",
  settings: [
    ...CLIP_SETTINGS,
    {
      name: "templates",
      kind: "list",
      group: ZERO_SHOT,
      help: "what the name of a class is put into, at {}; several, or imagenet-7 for seven of OpenAI's, are averaged",
      default: [DEFAULT_TEMPLATE],
    },
    { name: "gridSize", kind: "number", group: ZERO_SHOT, help: "pictures of the grid", default: 40 },
  ],
  examples: [
    ["wgrad lab clip-zero-shot", "CLIP ViT-B/16 on Tiny ImageNet, both from the hub"],
    ["wgrad lab clip-zero-shot --dataset my-pictures --subset 500", "folders of pictures, tried small"],
    ["wgrad lab clip-zero-shot --templates imagenet-7", "an ensemble of seven prompts"],
    ['wgrad lab clip-zero-shot --templates "a blurry photo of a {}.,a {}"', "your own prompts"],
  ],
  run: runLab,
};

interface ZeroShotSplit extends Judged {
  role: Role;
  /** Null where no picture has a class. */
  scores: Scores | null;
}

async function runLab({ settings, offline, ui }: LabContext): Promise<unknown> {
  const own = clipLabSettings(settings, offline, "runs/clip-zero-shot");
  const templates = expandTemplates(settings.templates as string[]);
  const gridSize = Number(settings.gridSize);
  if (!Number.isInteger(gridSize) || gridSize < 0)
    throw new UsageError(`--grid-size is ${gridSize}, expected a whole number from 0 on.`);
  const opened = await openSplits(own, ["validation", "test"], ui);
  const { names, splits } = opened;
  const collected = await collectFeatures(
    own,
    { prompts: promptsOf(names, templates), sources: splits.map(({ source }) => source) },
    ui,
  );
  const judged = judge(opened, collected, templates.length);
  ui.result(
    `${templates.length === 1 ? `"${templates[0]}"` : `${templates.length} templates`}, ${names.length} classes\n`,
  );
  ui.result(formatScores(judged));
  const shown = judged.find(({ scores }) => scores);
  if (shown?.scores) ui.result(`\n${formatPairs(shown.scores, names, shown.role)}`);
  const folder = own.outputDir;
  await mkdir(folder, { recursive: true });
  const metrics = await save(folder, own, settings, { judged, names, collected, templates, gridSize });
  const grid = gridSize > 0 ? ", grid.html, grid.png" : "";
  ui.result(
    `\nSaved in ${folder}: metrics.json, report.txt${grid}, predictions-*.jsonl, recipe.yaml\nAs a page: wgrad report ${folder}`,
  );
  return metrics;
}

/** Logits and figures of each split. */
function judge(
  { splits, names }: ImageSplits,
  { texts, images }: Collected,
  templates: number,
): ZeroShotSplit[] {
  const { features, columns, scale } = texts!;
  const classes = ensembleOf(features, columns, templates);
  return splits.map(({ role, source }) => {
    const { projected, ok } = images.get(source.name)!;
    const logits = similarityLogits(unitRows(projected, columns), classes, columns, scale);
    const labels = source.labels.map((label, i) => (ok[i] === 1 ? label : -1));
    return { role, source, logits, labels, scores: scoresOf(logits, labels, names) };
  });
}

const PAIRS = 10;

function formatPairs({ confusion }: Scores, names: readonly string[], role: Role): string {
  const pairs = confusedPairs(confusion).slice(0, PAIRS);
  if (pairs.length === 0) return "No class is taken for another.";
  return `Taken for each other most (${role}):\n${formatTable(
    ["true", "predicted", "pictures", "of the class"],
    pairs.map(({ truth, predicted, count, share }) => [
      names[truth]!,
      names[predicted]!,
      String(count),
      `${(share * 100).toFixed(0)} %`,
    ]),
    [0, 1],
  )}`;
}

interface Made {
  judged: readonly ZeroShotSplit[];
  names: readonly string[];
  collected: Collected;
  templates: readonly string[];
  gridSize: number;
}

async function save(
  folder: string,
  own: ClipLabSettings,
  settings: Readonly<Record<string, unknown>>,
  { judged, names, collected, templates, gridSize }: Made,
): Promise<RunMetrics> {
  const { texts, images } = collected;
  const { parameters, adapter } = texts!;
  const seconds = [...images.values()].reduce((sum, split) => sum + split.seconds, 0);
  const figures = (role: Role, prefix: string) => {
    const { scores } = judged.find((split) => split.role === role) ?? {};
    return scores ? figuresOf(scores, prefix) : null;
  };
  const metrics: RunMetrics = {
    lab: "clip-zero-shot",
    interrupted: false,
    output_dir: folder,
    global_step: 0,
    epochs: [],
    validation: figures("validation", "eval_"),
    test: figures("test", "test_"),
    training: {
      features_runtime: seconds,
      texts_runtime: texts!.seconds,
      prompts: names.length * templates.length,
      images: judged.reduce((sum, { labels }) => sum + labels.length, 0),
      logit_scale: texts!.scale,
    },
    parameters: { trainable: 0, all: parameters },
    best: null,
    labels: [...names],
    machine: machine({ description: adapter }),
  };
  await writeRecipe(folder, "clip-zero-shot", { ...settings, outputDir: folder });
  const reports: string[] = [formatScores(judged)];
  for (const split of judged) {
    await writePredictions(folder, split.role, predictionRows(split, names.length));
    if (!split.scores) continue;
    reports.push(
      `${split.role}:\n\n${formatClassificationReport(split.scores.report)}\n\n${formatPairs(split.scores, names, split.role)}`,
    );
  }
  await writeFileAtomic(join(folder, "report.txt"), `${reports.join("\n\n")}\n`);
  const [first] = judged;
  if (first) {
    await saveGrid(folder, first, names, {
      title: `Zero-shot: ${subjectOf(own.model, own.dataset)}`,
      count: gridSize,
      seed: own.seed,
      ok: images.get(first.source.name)!.ok,
    });
  }
  await writeMetrics(folder, metrics);
  return metrics;
}
