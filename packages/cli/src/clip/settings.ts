/** Settings that the labs on a frozen CLIP share. */
import { UsageError } from "../errors.js";
import { flagOf, type Setting, settingsNamed } from "../training/settings.js";
import type { CollectSettings } from "./collect.js";

const PICTURES = "Pictures and features:";

/** Model, data, and how features are computed and kept. */
export const CLIP_SETTINGS: readonly Setting[] = [
  ...settingsNamed("model", "dataset", "labelColumn"),
  {
    name: "imageColumn",
    kind: "text",
    group: PICTURES,
    help: "column of the pictures (default: image, img or the only one)",
  },
  ...settingsNamed("trainSplit", "evalSplit", "testSplit", "validationSize", "testSize", "subset"),
  ...settingsNamed("seed", "outputDir"),
  {
    name: "classNames",
    kind: "text",
    group: PICTURES,
    help: "file of the classes' names: lines of id, tab, name (words.txt), or a name a line (default: the data set's own)",
  },
  { name: "batchSize", kind: "number", group: PICTURES, help: "pictures a forward pass", default: 64 },
  { name: "numWorkers", kind: "number", group: PICTURES, help: "threads that decode pictures", default: 2 },
  {
    name: "onError",
    kind: "text",
    group: PICTURES,
    help: "what a picture does that cannot be read: raise an error, or skip it",
    default: "raise",
  },
  {
    name: "featuresDir",
    kind: "text",
    group: PICTURES,
    help: "folder that keeps features, for all labs",
    default: "runs/clip-features",
  },
  {
    name: "recompute",
    kind: "boolean",
    group: PICTURES,
    help: "compute features anew that are there already",
    default: false,
  },
];

/** Settings of a lab on a frozen CLIP. */
export interface ClipLabSettings extends CollectSettings {
  dataset: string;
  imageColumn: string | null;
  labelColumn: string | null;
  trainSplit: string;
  evalSplit: string;
  testSplit: string;
  validationSize: number | null;
  testSize: number | null;
  /** Examples of each split, drawn with the seed; null for all. */
  subset: number | null;
  seed: number;
  outputDir: string;
  classNames: string | null;
}

/** @throws UsageError for what is missing or out of range */
export function clipLabSettings(
  settings: Readonly<Record<string, unknown>>,
  offline: boolean,
  outputDir: string,
): ClipLabSettings {
  for (const name of ["model", "dataset"]) {
    if (!settings[name])
      throw new UsageError(`${flagOf(name)} is missing: give it, or write ${name}: … into a recipe.`);
  }
  const orNull = (name: string) => settings[name] ?? null;
  for (const [name, least] of [
    ["subset", 1],
    ["batchSize", 1],
    ["numWorkers", 0],
  ] as const) {
    const value = orNull(name);
    if (value !== null && !(Number.isInteger(value) && (value as number) >= least))
      throw new UsageError(`${flagOf(name)} is ${String(value)}, expected a whole number from ${least} on.`);
  }
  if (settings.onError !== "raise" && settings.onError !== "skip")
    throw new UsageError(`--on-error is ${String(settings.onError)}, expected raise or skip.`);
  const nullable = ["imageColumn", "labelColumn", "validationSize", "testSize", "subset", "classNames"];
  return {
    ...(settings as unknown as ClipLabSettings),
    ...Object.fromEntries(nullable.map((name) => [name, orNull(name)])),
    outputDir: String(settings.outputDir ?? outputDir),
    offline,
  };
}
