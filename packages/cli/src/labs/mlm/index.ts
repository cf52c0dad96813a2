import { existsSync, readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readJsonFile, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { toSnakeCase } from "@wgrad/trainer";
import { parse, stringify } from "yaml";
import { EXIT, UsageError } from "../../errors.js";
import type { RunMetrics } from "../../runs/run-folder.js";
import { formatTable } from "../../text/table.js";
import { recipeText } from "../../training/recipe-text.js";
import { guardOutputDir } from "../../training/run.js";
import { FULL_SETTINGS, flagOf, makeRecipe, type Recipe, type Setting } from "../../training/settings.js";
import { trainFromRecipe } from "../../training/train.js";
import type { Lab, LabContext } from "../lab.js";
import { formatPerplexity, type MaskedLoss, type MlmSettings, pretrain } from "./pretrain.js";

const GROUP = "Masked-language modelling:";

const OWN: readonly Setting[] = [
  {
    name: "mlmProbability",
    kind: "number",
    group: GROUP,
    help: "share of the tokens that are to be predicted",
    default: 0.15,
  },
  { name: "mlmEpochs", kind: "number", group: GROUP, help: "passes of pre-training", default: 1 },
  {
    name: "mlmLearningRate",
    kind: "number",
    group: GROUP,
    help: "peak learning rate of pre-training",
    default: 5e-5,
  },
  {
    name: "mlmBatchSize",
    kind: "number",
    group: GROUP,
    help: "examples a forward pass of pre-training; each token has a logit for every word of the vocabulary",
    default: 8,
  },
  {
    name: "baseline",
    kind: "boolean",
    group: GROUP,
    help: "also fine-tune the model as it was, to compare",
    default: true,
  },
];

/** Folders of the stages in the output folder. */
const PRETRAINING = "pretraining";
const FINETUNED = "finetuned";
const BASELINE = "baseline";

/** Continued pre-training on the task's own sentences, then fine-tuning from it, and from the original beside it. */
export const lab: Lab = {
  name: "mlm",
  summary: "go on pre-training on the task's own sentences by masked-language modelling, then fine-tune",
  settings: [...FULL_SETTINGS, ...OWN],
  examples: [
    [
      "wgrad lab mlm",
      "DistilBERT on Rotten Tomatoes: 1 epoch of masking, 3 of fine-tuning, and the baseline",
    ],
    ["wgrad lab mlm --mlm-epochs 3 --baseline false", "longer, without the comparison"],
    ["wgrad lab mlm --model my-model --dataset my-data --subset 64", "try it on your own"],
    ["wgrad lab mlm runs/mlm/recipe.yaml --resume", "go on after Ctrl-C: finished stages are not run again"],
  ],
  run: runMlm,
};

async function runMlm(context: LabContext): Promise<unknown> {
  const { ui, offline, resume, overwrite } = context;
  const { baseline, mlm, recipe } = readSettings(context.settings);
  const { outputDir } = recipe.args;
  if (typeof resume === "string") {
    throw new UsageError(
      "this lab has a run in each stage and finds their checkpoints by itself: give --resume without a folder.",
    );
  }
  const folder = (stage: string) => join(outputDir, stage);
  for (const stage of [PRETRAINING, FINETUNED, BASELINE])
    await guardOutputDir(folder(stage), { resume, overwrite });
  await mkdir(outputDir, { recursive: true });
  const text = wholeRecipe(recipe, { ...mlm, baseline });
  await writeFileAtomic(join(outputDir, "recipe.yaml"), text);
  const goOn = `wgrad lab mlm ${join(outputDir, "recipe.yaml")} --resume`;
  /** The figures of a stage that is done, where a run goes on. */
  const finished = async (stage: string): Promise<RunMetrics | null> => {
    const path = join(folder(stage), "metrics.json");
    if (!resume || !existsSync(path)) return null;
    const metrics = await readJsonFile<RunMetrics>(path);
    if (metrics.interrupted) return null;
    ui.note(`${stage}: done already, in ${folder(stage)}`);
    return metrics;
  };
  const hasCheckpoint = (stage: string) => resume && hasRun(folder(stage));

  ui.result("1. Pre-training");
  const done = await finished(PRETRAINING);
  const summary = join(folder(PRETRAINING), "mlm.json");
  let masked: { before: MaskedLoss | null; after: MaskedLoss | null };
  if (done) masked = await readJsonFile(summary);
  else {
    const { metrics, before, after } = await pretrain(
      recipe,
      mlm,
      { folder: folder(PRETRAINING), recipe: text, offline, resume: hasCheckpoint(PRETRAINING), goOn },
      ui,
    );
    if (metrics.interrupted) {
      context.exit(EXIT.interrupted);
      return { interrupted: true, stage: PRETRAINING };
    }
    masked = { before, after };
    await writeJsonFile(summary, masked);
  }

  const starts = [
    { stage: FINETUNED, model: folder(PRETRAINING), title: "Fine-tuning from there" },
    ...(baseline
      ? [
          {
            stage: BASELINE,
            model: recipe.settings.model,
            title: `Fine-tuning from ${recipe.settings.model}`,
          },
        ]
      : []),
  ];
  const runs: Record<string, RunMetrics> = {};
  for (const [i, { stage, model, title }] of starts.entries()) {
    ui.result(`\n${i + 2}. ${title}`);
    const metrics =
      (await finished(stage)) ??
      (await trainFromRecipe(
        {
          settings: { ...recipe.settings, model },
          args: { ...recipe.args, outputDir: folder(stage) },
        },
        { lab: "finetune", resume: hasCheckpoint(stage), offline, force: false, goOn },
        ui,
      ));
    if (metrics.interrupted) {
      context.exit(EXIT.interrupted);
      return { interrupted: true, stage };
    }
    runs[stage] = metrics;
  }
  ui.result(
    `\n${formatOutcome(masked, runs)}\n\nSaved in ${outputDir}: ${PRETRAINING}, ${Object.keys(runs).join(", ")}`,
  );
  return { interrupted: false, output_dir: outputDir, masked_language_modelling: masked, ...runs };
}

function readSettings(given: Readonly<Record<string, unknown>>) {
  const own = new Set(OWN.map(({ name }) => name));
  const rest = Object.fromEntries(Object.entries(given).filter(([name]) => !own.has(name)));
  const recipe = makeRecipe(rest);
  const { baseline, ...mlm } = given as unknown as MlmSettings & { baseline: boolean };
  const refuse = (name: keyof MlmSettings, expected: string) => {
    throw new UsageError(`${flagOf(name)} is ${mlm[name]}, expected ${expected}.`);
  };
  if (!(mlm.mlmProbability > 0 && mlm.mlmProbability <= 1))
    refuse("mlmProbability", "a share over 0 and up to 1");
  if (!(mlm.mlmEpochs > 0)) refuse("mlmEpochs", "a number over 0");
  if (!(mlm.mlmLearningRate > 0)) refuse("mlmLearningRate", "a number over 0");
  if (!Number.isInteger(mlm.mlmBatchSize) || mlm.mlmBatchSize < 1)
    refuse("mlmBatchSize", "a whole number from 1 on");
  const { mlmProbability, mlmEpochs, mlmLearningRate, mlmBatchSize } = mlm;
  return { baseline, recipe, mlm: { mlmProbability, mlmEpochs, mlmLearningRate, mlmBatchSize } };
}

/** The recipe of all stages. */
function wholeRecipe(recipe: Recipe, own: MlmSettings & { baseline: boolean }): string {
  const text = recipeText("mlm", recipe);
  const keys = Object.fromEntries(Object.entries(own).map(([name, value]) => [toSnakeCase(name), value]));
  const comment = text.slice(0, text.indexOf("\n") + 1);
  return `${comment}${stringify({ ...(parse(text) as Record<string, unknown>), ...keys })}`;
}

/** True if a folder holds a checkpoint to go on from. */
function hasRun(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => /^checkpoint-\d+$/.test(name));
}

function formatOutcome(
  { before, after }: { before: MaskedLoss | null; after: MaskedLoss | null },
  runs: Readonly<Record<string, RunMetrics>>,
): string {
  const share = (value: number | undefined) => (value === undefined ? "–" : value.toFixed(4));
  const line = (title: string, { validation, test }: RunMetrics, masked: MaskedLoss | null) => [
    title,
    masked ? formatPerplexity(masked.perplexity) : "–",
    share(validation?.eval_accuracy),
    share(test?.test_accuracy),
    share(test?.test_f1),
  ];
  const { finetuned, baseline } = runs;
  return formatTable(
    ["start", "perplexity", "val accuracy", "test accuracy", "test F1"],
    [
      ...(finetuned ? [line("pre-trained on", finetuned, after)] : []),
      ...(baseline ? [line("original", baseline, before)] : []),
    ],
  );
}
