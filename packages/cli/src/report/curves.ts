import { lineChart, type Series } from "./charts.js";
import type { RunReport } from "./data.js";

type Point = readonly [number, number];

/** The charts of a run's training that have something to show, in the order of a report. */
export function trainingCharts(run: RunReport): string[] {
  const byStep = (name: string): Point[] => pointsOf(run, name);
  const byEpoch = (name: string): Point[] =>
    run.epochs.filter((row) => typeof row[name] === "number").map((row) => [row.epoch!, row[name]!]);
  const epochTicks = ticksOf(run.epochs.map((row) => row.epoch!));
  const drawn = (chart: Parameters<typeof lineChart>[0]) => {
    const series = chart.series.filter(({ points }) => points.length > 0);
    return series.length > 0 ? [lineChart({ ...chart, series })] : [];
  };
  return [
    ...drawn({
      title: "Loss by step",
      xLabel: "step",
      yLabel: "loss",
      series: [
        { name: "training", points: byStep("loss"), smooth: true },
        { name: "validation", points: byStep("eval_loss") },
      ],
    }),
    ...(run.epochs.length > 1
      ? drawn({
          title: "Loss by epoch",
          xLabel: "epoch",
          yLabel: "loss",
          xTicks: epochTicks,
          series: [
            { name: "training (mean)", points: byEpoch("train_loss") },
            { name: "validation", points: byEpoch("eval_loss") },
          ],
        })
      : []),
    ...(run.epochs.length > 1
      ? drawn({
          title: "Accuracy and F1 by epoch",
          xLabel: "epoch",
          yLabel: "accuracy, F1",
          xTicks: epochTicks,
          series: [
            { name: "training accuracy", points: byEpoch("train_accuracy") },
            { name: "validation accuracy", points: byEpoch("accuracy") },
            { name: "validation F1", points: byEpoch("f1") },
          ],
        })
      : []),
    ...drawn({
      title: "Learning rate",
      xLabel: "step",
      yLabel: "learning rate",
      series: [{ name: "learning rate", points: byStep("learning_rate") }],
    }),
    ...drawn({
      title: "Gradient norm before clipping",
      xLabel: "step",
      yLabel: "norm",
      series: [{ name: "gradient norm", points: byStep("grad_norm"), smooth: true }],
    }),
  ];
}

/** The same curves of several runs in one chart each. */
export function comparisonCharts(all: readonly RunReport[]): string[] {
  // The loss of masked words is another than that of classes, and much larger.
  const isEvaluated = (run: RunReport) => run.epochs.some((row) => typeof row.eval_loss === "number");
  const isAccurate = (run: RunReport) => run.epochs.some((row) => typeof row.accuracy === "number");
  const runs = all.some(isAccurate) ? all.filter((run) => isAccurate(run) || !isEvaluated(run)) : all;
  const chart = (
    title: string,
    yLabel: string,
    xLabel: string,
    points: (run: RunReport) => Point[],
    smooth = false,
  ) => {
    const series: Series[] = runs
      .map((run) => ({ name: run.name, points: points(run), smooth }))
      .filter((line) => line.points.length > 0);
    // A single line is in the run's own charts.
    const xTicks = ticksOf(series.flatMap(({ points: all }) => all.map(([x]) => x)));
    return series.length > 1
      ? [lineChart({ title, xLabel, yLabel, series, ...(xTicks ? { xTicks } : {}) })]
      : [];
  };
  const byEpoch =
    (name: string) =>
    (run: RunReport): Point[] =>
      run.epochs.filter((row) => typeof row[name] === "number").map((row) => [row.epoch!, row[name]!]);
  return [
    ...chart("Training loss", "loss", "epoch", (run) => onlyMean(pointsOf(run, "loss", "epoch")), false),
    ...chart("Validation loss", "loss", "epoch", byEpoch("eval_loss")),
    ...chart("Validation accuracy", "accuracy", "epoch", byEpoch("accuracy")),
  ];
}

function pointsOf(run: RunReport, name: string, x: "step" | "epoch" = "step"): Point[] {
  return run.log
    .filter((entry) => name in entry)
    .map((entry): Point => [entry[x], typeof entry[name] === "number" ? entry[name]! : Number.NaN]);
}

/** At most 40 points, each the mean of a stretch: several noisy lines in one chart hide each other. */
function onlyMean(points: readonly Point[]): Point[] {
  const stretch = Math.ceil(points.length / 40);
  const means: Point[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const some = points.slice(start, start + stretch).filter(([, y]) => Number.isFinite(y));
    if (some.length === 0) continue;
    means.push([some.at(-1)![0], some.reduce((sum, [, y]) => sum + y, 0) / some.length]);
  }
  return means;
}

/** Whole epochs within those that there are, no more than 12 of them; undefined where that is one or none. */
function ticksOf(epochs: readonly number[]): number[] | undefined {
  const first = Math.ceil(Math.min(...epochs));
  const last = Math.floor(Math.max(...epochs));
  if (!(last > first)) return undefined;
  const every = Math.ceil((last - first + 1) / 12);
  return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => first + i * every);
}
