/** Splits of a data set of pictures, for labs on a frozen CLIP. */
import type { Dataset } from "@wgrad/datasets";
import { CommandError } from "../errors.js";
import { labelColumnOf, labelNamesOf, labelsOf, openDataset, takeSplit } from "../training/data.js";
import { setAside } from "../training/prepare.js";
import type { Ui } from "../ui.js";
import { humanNames } from "./class-names.js";
import { type ImageSource, imageColumnOf, sourceOf } from "./collect.js";
import type { ClipLabSettings } from "./settings.js";

/** What a split is for. */
export const ROLES = ["train", "validation", "test"] as const;
export type Role = (typeof ROLES)[number];

/** What the split to validate on is called. */
const VALIDATION = ["validation", "valid", "val", "dev"] as const;

/** A split of pictures. */
export interface ImageSplit {
  role: Role;
  source: ImageSource;
  rows: Dataset;
}

/** The splits of a data set with the names of its classes. */
export interface ImageSplits {
  splits: ImageSplit[];
  /** In the order of the labels. */
  names: string[];
}

/** What {@link openSplits} looks at. */
export type SplitSettings = Pick<
  ClipLabSettings,
  | "dataset"
  | "imageColumn"
  | "labelColumn"
  | "trainSplit"
  | "evalSplit"
  | "testSplit"
  | "validationSize"
  | "testSize"
  | "subset"
  | "seed"
  | "classNames"
  | "offline"
> & {
  /** Whether ids of WordNet will do for names; default false. */
  allowIds?: boolean;
};

/**
 * Opens the splits that a lab needs; those that are not there are left out.
 * @throws CommandError `E_SPLIT` if none is there, `E_CLASS_NAMES`; DatasetError; UsageError
 */
export async function openSplits(
  settings: SplitSettings,
  roles: readonly Role[],
  ui: Ui,
): Promise<ImageSplits> {
  const { dataset, seed, subset, offline } = settings;
  const opened = await openDataset(dataset, { offline, ui });
  // Where nobody says otherwise, the split to validate on may be called by any of its names.
  const evalSplit =
    settings.evalSplit === "validation"
      ? (VALIDATION.find((name) => opened.has(name)) ?? "validation")
      : settings.evalSplit;
  const { trainSplit, testSplit } = settings;
  const all = opened.has(trainSplit) ? setAside(opened, { ...settings, evalSplit }, seed, ui) : opened;
  const nameOf = { train: trainSplit, validation: evalSplit, test: testSplit };
  const there = roles.filter((role) => all.has(nameOf[role]));
  if (there.length === 0) {
    const names = Object.keys(Object.fromEntries(all)).join(", ");
    throw new CommandError(
      "E_SPLIT",
      `${dataset}: none of the splits ${roles.map((role) => nameOf[role]).join(", ")} is there, only ${names}. Name one with --eval-split or --test-split.`,
    );
  }
  const first = all.get(nameOf[there[0]!]);
  const labelColumn = labelColumnOf(first, settings.labelColumn);
  const imageColumn = imageColumnOf(first, settings.imageColumn);
  const labels = labelNamesOf(first, labelColumn);
  const names = await humanNames(labels, { file: settings.classNames, folder: dataset }).catch((error) => {
    if (settings.allowIds && error instanceof CommandError && error.code === "E_CLASS_NAMES") return labels;
    throw error;
  });
  const splits = there.map((role) => {
    const rows = takeSplit(all, nameOf[role], subset, seed);
    const has = rows.columnNames.includes(labelColumn);
    const classes =
      (has ? labelsOf(rows, labelColumn, { labels, needsLabels: role === "train" }) : null) ??
      new Int32Array(rows.numRows).fill(-1);
    return { role, rows, source: sourceOf(role, rows, imageColumn, classes) };
  });
  return { splits, names };
}
