import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * What the classes of Tiny ImageNet (and ImageNet) are called: `words.txt` beside the data has a line `wnid<TAB>names` for each
 * WordNet id; of several names the first counts.
 * @param folder the data set's folder, or a file in it
 * @returns wnid → name; empty where there is no words.txt
 */
export function tinyImagenetNames(folder: string): ReadonlyMap<string, string> {
  const base = existsSync(folder) && !statSync(folder).isDirectory() ? dirname(folder) : folder;
  const file = join(base, "words.txt");
  if (!existsSync(file)) return new Map();
  return new Map(
    tabbedLines(file).map(([wnid, names]) => [wnid!, (names ?? wnid!).split(",")[0]!.trim()] as const),
  );
}

/** `val_annotations.txt`: name of the picture → wnid; the box behind them is not read. */
export function readAnnotations(file: string): Map<string, string> {
  return new Map(tabbedLines(file).map(([name, wnid]) => [name!, wnid ?? ""]));
}

function tabbedLines(file: string): string[][] {
  return readFileSync(file, "utf8")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "")
    .map((line) => line.split("\t"));
}
