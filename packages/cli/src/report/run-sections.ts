import type { RunPictures } from "../runs/run-folder.js";
import type { ClassificationReport } from "../text/classification-report.js";
import { formatBytes, formatCount, formatSeconds } from "../ui.js";
import { barChart } from "./charts.js";
import { confusionOf, MOST_CLASSES } from "./confusion.js";
import { trainingCharts } from "./curves.js";
import type { RunReport, SplitReport } from "./data.js";
import { examplesOf } from "./examples.js";
import { charts, type Html, html, section, subheading, tableOf } from "./html.js";
import { picturesHtml } from "./pictures.js";

/** The largest figures of a run. */
export function tilesOf(run: RunReport): Html {
  const { test, validation, best, parameters, training, steps, splits } = run;
  const tiles: [heading: string, value: string, detail: string][] = [];
  const examples = (split: string) => {
    const found = splits.find((s) => s.split === split);
    return found ? `${formatCount(found.examples)} examples` : "";
  };
  const scores = (accuracy: unknown, top5: unknown, f1: unknown, loss: unknown, split: string) => {
    const detail = [
      isNumber(top5) ? `top-5 ${top5.toFixed(4)}` : "",
      isNumber(f1) ? `F1 ${f1.toFixed(4)}` : "",
      isNumber(accuracy) && isNumber(loss) ? `loss ${loss.toFixed(4)}` : "",
      examples(split),
    ]
      .filter(Boolean)
      .join(" · ");
    const name = split[0]!.toUpperCase() + split.slice(1);
    if (isNumber(accuracy)) tiles.push([`${name} accuracy`, accuracy.toFixed(4), detail]);
    else if (isNumber(loss)) tiles.push([`${name} loss`, loss.toFixed(4), detail]);
  };
  scores(test?.test_accuracy, test?.test_top5_accuracy, test?.test_f1, test?.test_loss, "test");
  scores(
    validation?.eval_accuracy,
    validation?.eval_top5_accuracy,
    validation?.eval_f1,
    validation?.eval_loss,
    "validation",
  );
  const top = bestClassifier(run);
  if (top)
    tiles.push(["Best classifier", top.classifier, `on ${top.features} features, by ${top.split} accuracy`]);
  if (best)
    tiles.push([
      "Best epoch",
      String(Number(best.epoch.toFixed(2))),
      `${best.metric} ${isNumber(best.value) ? best.value.toFixed(4) : "–"} on validation`,
    ]);
  if (parameters && parameters.trainable > 0 && parameters.all > 0) {
    const share = parameters.trainable / parameters.all;
    tiles.push([
      "Trained parameters",
      formatCount(parameters.trainable),
      share === 1
        ? "all of the model"
        : `${(share * 100).toPrecision(3)} % of ${formatCount(parameters.all)}`,
    ]);
  }
  if (isNumber(training.train_runtime))
    tiles.push([
      "Training time",
      formatSeconds(training.train_runtime),
      steps > 0 ? `${formatCount(steps)} steps` : "",
    ]);
  if (isNumber(training.peak_memory_bytes))
    tiles.push(["Peak memory", formatBytes(training.peak_memory_bytes), "buffers of the adapter"]);
  if (tiles.length === 0) return html``;
  return html`<dl class="tiles">${tiles.map(([heading, value, detail]) => html`<div class="tile"><dt>${heading}</dt><dd class="${value.length > 12 ? "long" : ""}">${value}<small>${detail}</small></dd></div>`)}</dl>`;
}

/** What stands above a run that did not come to its end. */
export function noticeOf(run: RunReport): Html {
  if (!run.isInterrupted) return html``;
  const at = run.steps > 0 ? ` after step ${formatCount(run.steps)}` : "";
  return html`<p class="notice">This run has not come to its end: it was interrupted${at}, or is still going on. Its figures are those up to there. The command that began it goes on with <code>--resume</code>.</p>`;
}

/**
 * Everything of one run, section by section.
 * @param prefix of the ids, so that runs of one page do not meet
 * @param level of the headings
 * @param pictures that the run left, if any
 */
export function runSections(
  run: RunReport,
  prefix: string,
  level: 2 | 3,
  pictures: RunPictures | null = null,
): Html[] {
  const make = (id: string, heading: string, hint: string, content: Html) =>
    section(`${prefix}${id}`, heading, hint, content, level);
  return [
    ...trainingSection(run, make),
    ...classifierSection(run, make),
    ...run.splits.map((split) => resultSection(run, split, make, level)),
    ...(run.splits.length === 0 ? [missingSection(run, make)] : furtherSection(run, make)),
    ...pictureSection(pictures, make),
    ...exampleSection(run, make, level),
    ...costSection(run, make),
    ...settingsSections(run, make),
  ];
}

type Make = (id: string, heading: string, hint: string, content: Html) => Html;

function trainingSection(run: RunReport, make: Make): Html[] {
  const drawn = trainingCharts(run);
  if (drawn.length === 0 && run.epochs.length === 0) return [];
  const table = run.epochs.length > 0 ? epochTable(run) : html``;
  const best = run.best ? ` The best epoch by ${run.best.metric} is bold.` : "";
  const hint =
    run.log.length > 0
      ? `A value of the training loss is the mean of the steps since the one before. Where there are many, they are drawn faintly behind their moving mean.${best}`
      : best.trim();
  return [make("training", "Training", hint, html`${charts(drawn)}${table}`)];
}

const EPOCH_COLUMNS: readonly (readonly [key: string, heading: string])[] = [
  ["train_loss", "training loss"],
  ["train_accuracy", "training accuracy"],
  ["eval_loss", "validation loss"],
  ["accuracy", "accuracy"],
  ["top5_accuracy", "top-5 accuracy"],
  ["precision", "precision"],
  ["recall", "recall"],
  ["f1", "F1"],
  ["seconds", "time"],
];

function epochTable({ epochs, best }: RunReport): Html {
  const columns = EPOCH_COLUMNS.filter(([key]) => epochs.some((row) => isNumber(row[key])));
  const rows = epochs.map((row) => {
    const isBest = best !== null && row.epoch === best.epoch && epochs.length > 1;
    const cells = [
      String(Number((row.epoch ?? 0).toFixed(2))),
      ...columns.map(([key]) => epochCell(key, row[key])),
    ];
    return isBest ? cells.map((cell) => html`<strong>${cell}</strong>`) : cells;
  });
  return tableOf("Epochs", [{ heading: "epoch" }, ...columns.map(([, heading]) => ({ heading }))], rows);
}

function epochCell(key: string, value: number | undefined): string {
  if (!isNumber(value)) return "–";
  return key === "seconds" ? formatSeconds(value) : value.toFixed(4);
}

function classifierSection(run: RunReport, make: Make): Html[] {
  const { classifiers } = run;
  if (classifiers.length === 0) return [];
  const splits = [...new Set(classifiers.flatMap((c) => Object.keys(c.splits)))];
  const metrics = [
    ["accuracy", "accuracy"],
    ["f1", "F1"],
  ] as const;
  const columns = splits.flatMap((split) =>
    metrics
      .filter(([key]) => classifiers.some((c) => isNumber(c.splits[split]?.[key])))
      .map(([key, heading]) => ({ split, key, heading: `${split} ${heading}` })),
  );
  const table = tableOf(
    "Classifiers",
    [
      { heading: "classifier", isWords: true },
      { heading: "features", isWords: true },
      ...columns.map(({ heading }) => ({ heading })),
      { heading: "parameters" },
      { heading: "time to fit" },
    ],
    classifiers.map((c) => [
      c.classifier,
      c.features,
      ...columns.map(({ split, key }) => fourPlaces(c.splits[split]?.[key])),
      isNumber(c.parameters) ? formatCount(c.parameters) : "–",
      isNumber(c.fit_seconds) ? formatSeconds(c.fit_seconds) : "–",
    ]),
  );
  const split = splits.includes("test") ? "test" : splits[0];
  const bars = classifiers.map((c) => {
    const value = c.splits[split ?? ""]?.accuracy;
    return {
      name: `${c.features} ${c.classifier}`,
      value: isNumber(value) ? value : Number.NaN,
      label: fourPlaces(value),
    };
  });
  const chart =
    split && bars.some(({ value }) => isNumber(value))
      ? charts([barChart({ title: `Accuracy on ${split}`, xLabel: "accuracy", xRange: [0, 1], bars })])
      : html``;
  return [
    make(
      "classifiers",
      "Classifiers",
      "Fitted on features of the frozen model, which was not trained itself.",
      html`${table}${chart}`,
    ),
  ];
}

/** The classifier whose predictions the run keeps: chosen without a look at the test split. */
function bestClassifier({
  classifiers,
}: RunReport): { split: string; features: string; classifier: string } | null {
  const split = classifiers.some((c) => c.splits.validation) ? "validation" : "train";
  const score = (c: RunReport["classifiers"][number]) =>
    c.splits[split]?.accuracy ?? Number.NEGATIVE_INFINITY;
  if (classifiers.length === 0) return null;
  const { features, classifier } = classifiers.reduce((a, b) => (score(b) > score(a) ? b : a));
  return { split, features, classifier };
}

function resultSection(run: RunReport, split: SplitReport, make: Make, level: 2 | 3): Html {
  const { report, examples, unlabelled } = split;
  const name = `Results on ${split.split}`;
  const id = `results-${split.split}`;
  if (!report)
    return make(
      id,
      name,
      "",
      html`<p>${formatCount(examples)} examples were classified. None has a label, so nothing can be said of how right that is.</p>`,
    );
  const isWide = split.labels.length > BESIDE && split.labels.length <= MOST_CLASSES;
  const shown = shownClasses(report, split.labels);
  const absent = split.labels.length - shown.length;
  const without = absent > 0 ? ` ${formatCount(absent)} classes without examples are not in the table.` : "";
  const hint = `${formatCount(examples)} examples${unlabelled > 0 ? `, of which ${formatCount(unlabelled)} have no label and are left out` : ""}.${without}${whose(run)}`;
  return make(
    id,
    name,
    hint,
    html`<div class="pair ${isWide ? "stacked" : ""}"><div>${subheading(level, "By class")}${classTable(report, shown)}</div><div>${subheading(level, "Confusion matrix")}${confusionOf(split, level)}</div></div>`,
  );
}

function whose(run: RunReport): string {
  const best = bestClassifier(run);
  return best
    ? ` Predictions of ${best.classifier} on ${best.features} features, the best by ${best.split} accuracy.`
    : "";
}

/** All classes where there are few, else those that have examples. */
function shownClasses(report: ClassificationReport, labels: readonly string[]): readonly string[] {
  return labels.length <= MOST_CLASSES ? labels : labels.filter((name) => report.classes[name]!.support > 0);
}

/** scikit-learn's report as a table. */
function classTable(report: ClassificationReport, labels: readonly string[]): Html {
  const row = (name: string, m: ClassificationReport["macroAvg"]) => [
    name,
    fourPlaces(m.precision),
    fourPlaces(m.recall),
    fourPlaces(m.f1),
    formatCount(m.support),
  ];
  return tableOf(
    "Precision, recall and F1 by class",
    [
      { heading: "class", isWords: true },
      ...["precision", "recall", "f1-score", "support"].map((heading) => ({ heading })),
    ],
    [
      // Not in the order of the record: names that are numbers would come first.
      ...labels.map((name) => row(name, report.classes[name]!)),
      [html`<i>accuracy</i>`, "", "", fourPlaces(report.accuracy), formatCount(report.macroAvg.support)],
      [html`<i>macro avg</i>`, ...row("", report.macroAvg).slice(1)],
      [html`<i>weighted avg</i>`, ...row("", report.weightedAvg).slice(1)],
    ],
    labels.length > MOST_CLASSES,
  );
}

/** What is said where a run left no predictions. */
function missingSection(run: RunReport, make: Make): Html {
  const figures = Object.entries({ ...run.validation, ...run.test }).filter(
    ([name, value]) => /_(loss|accuracy|f1|precision|recall|perplexity)$/.test(name) && isNumber(value),
  );
  const table =
    figures.length > 0
      ? tableOf(
          "Results",
          [{ heading: "figure", isWords: true }, { heading: "value" }],
          figures.map(([name, value]) => [
            name
              .replace(/^eval_/, "validation_")
              .replaceAll("_", " ")
              .replace(/\bf1\b/, "F1"),
            fourPlaces(value),
          ]),
        )
      : html``;
  const why = run.isInterrupted
    ? "Predictions are written when a run ends."
    : "This run left no predictions, so there is no table by class, no confusion matrix and there are no examples.";
  return make("results", "Results", why, table);
}

/** Shares right that are neither the tiles' nor the tables': of the first five answers, of one attribute alone, … */
function furtherSection({ test, validation }: RunReport, make: Make): Html[] {
  const shares = (metrics: Record<string, number> | null, prefix: string) =>
    new Map(
      Object.entries(metrics ?? {}).flatMap(([name, value]) => {
        const what = name.match(`^${prefix}_(.+)_accuracy$`)?.[1];
        return what && isNumber(value) ? [[what.replaceAll("_", " "), value] as const] : [];
      }),
    );
  const [onTest, onValidation] = [shares(test, "test"), shares(validation, "eval")];
  const names = [...new Set([...onTest.keys(), ...onValidation.keys()])];
  if (names.length === 0) return [];
  const columns = [
    { heading: "test", values: onTest },
    { heading: "validation", values: onValidation },
  ].filter(({ values }) => values.size > 0);
  const table = tableOf(
    "Further accuracies",
    [{ heading: "right in", isWords: true }, ...columns.map(({ heading }) => ({ heading }))],
    names.map((name) => [name, ...columns.map(({ values }) => fourPlaces(values.get(name)))]),
  );
  return [make("further", "Further accuracies", "Shares of the examples.", table)];
}

function pictureSection(found: RunPictures | null, make: Make): Html[] {
  if (!found || found.pictures.length === 0) return [];
  return [make("pictures", `Pictures from ${found.split}`, found.title, picturesHtml(found.pictures))];
}

function exampleSection(run: RunReport, make: Make, level: 2 | 3): Html[] {
  const split = run.splits.find(({ worst }) => worst.length > 0);
  if (!split) return [];
  return [
    make(
      "examples",
      `Examples from ${split.split}`,
      run.classifiers.length > 0
        ? "With the true class, the predicted one and its share in a softmax of the classifier's scores. Rows count from 0."
        : "With the true class, the predicted one and the probability that the model gave it. Rows count from 0.",
      examplesOf(split, level),
    ),
  ];
}

/** A matrix of more classes than that does not fit beside the table by class. */
const BESIDE = 4;

const COSTS: readonly (readonly [key: string, name: string, format: (value: number) => string])[] = [
  ["train_runtime", "training and its evaluations", formatSeconds],
  ["features_runtime", "computing features", formatSeconds],
  ["texts_runtime", "encoding prompts", formatSeconds],
  ["fit_runtime", "fitting", formatSeconds],
  ["images", "pictures", formatCount],
  ["seconds_per_step", "a step (median)", formatSeconds],
  ["cpu_seconds_per_step", "a step, seconds of CPU (mean)", (v) => `${v.toPrecision(3)} s`],
  ["train_samples_per_second", "examples a second", (v) => v.toPrecision(4)],
  ["train_steps_per_second", "steps a second", (v) => v.toPrecision(3)],
  ["tokens_seen", "tokens seen", formatCount],
  ["dispatches_per_step", "dispatches a step", formatCount],
  ["submissions_per_step", "submissions a step", formatCount],
  ["buffers_created_after_step_3", "buffers made after step 3", formatCount],
  ["skipped_steps", "steps skipped for overflow in f16", formatCount],
  ["loss_scale", "loss scale at the end", formatCount],
  ["peak_memory_live_bytes", "tensors at the peak", formatBytes],
  ["peak_memory_bytes", "buffers at the peak", formatBytes],
  ["optimizer_state_bytes", "state of the optimizer", formatBytes],
  ["peak_resident_bytes", "memory of the process at the peak", formatBytes],
];

function costSection({ training }: RunReport, make: Make): Html[] {
  const known = COSTS.filter(([key]) => isNumber(training[key])).map(([key, name, format]) => [
    name,
    format(training[key]!),
  ]);
  const others = Object.entries(training)
    .filter(
      ([key, value]) => isNumber(value) && key !== "train_loss" && !COSTS.some(([name]) => name === key),
    )
    .map(([key, value]) => [key.replaceAll("_", " "), formatCount(value)]);
  const rows = [...known, ...others];
  if (rows.length === 0) return [];
  return [
    make(
      "cost",
      "Time and memory",
      "",
      tableOf("Time and memory", [{ heading: "what", isWords: true }, { heading: "how much" }], rows),
    ),
  ];
}

function settingsSections({ configuration, environment, folder }: RunReport, make: Make): Html[] {
  const list = (entries: readonly (readonly [string, string])[]) =>
    html`<dl class="settings">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
  return [
    make(
      "configuration",
      "Configuration",
      configuration.length > 0
        ? "Every setting of the run, as recipe.yaml in its folder has them."
        : "The folder has no recipe.yaml.",
      list(configuration),
    ),
    make("environment", "Environment", "", list([...environment, ["folder", folder]])),
  ];
}

function fourPlaces(value: unknown): string {
  return isNumber(value) ? value.toFixed(4) : "–";
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
