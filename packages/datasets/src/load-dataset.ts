import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { Dataset, type ParquetOptions, type Row } from "./dataset.js";
import { DatasetDict, missingSplit } from "./dataset-dict.js";
import { DatasetError } from "./errors.js";

/** Hugging Face's words for each split, as they stand in file and folder names. */
const SPLIT_WORDS: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval", "evaluation"],
};
const SHARD = /^(.*)-(\d{5})-of-(\d{5})\b/;

/** Options of {@link loadDataset}. */
export interface LoadOptions extends Omit<ParquetOptions, "name"> {
  /** Load this split alone. */
  split?: string;
}

/**
 * Loads a local data set: a Parquet file, or a folder with Parquet files named as Hugging Face names them
 * (`train.parquet`, `train-00000-of-00004.parquet`, `validation…`, `test…`, `train/….parquet`), in the folder or in its
 * `data/`. A file whose name tells no split is `train`.
 * Only footers are read; see {@link Dataset.fromParquet}.
 * @returns all splits, or with `split` that one
 * @throws DatasetError E_FILE_NOT_FOUND, E_SPLIT_MISSING, E_SHARD_MISSING, and as Dataset.fromParquet
 */
export function loadDataset<R extends object = Row>(
  path: string,
  options: LoadOptions & { split: string },
): Dataset<R>;
export function loadDataset<R extends object = Row>(path: string, options?: LoadOptions): DatasetDict<R>;
export function loadDataset<R extends object = Row>(
  path: string,
  options: LoadOptions = {},
): Dataset<R> | DatasetDict<R> {
  if (!existsSync(path)) {
    throw new DatasetError({
      code: "E_FILE_NOT_FOUND",
      where: path,
      message: "there is no such file or folder.",
      fix: "Give a .parquet file, or a folder with train.parquet or data/train-00000-of-00001.parquet in it.",
    });
  }
  const files = statSync(path).isDirectory()
    ? findSplits(path)
    : new Map([[splitOf(basename(path)) ?? "train", [path]]]);
  const open = (split: string, paths: readonly string[]): Dataset<R> =>
    Dataset.fromParquet<R>(paths, { name: `${path} (${split})`, cacheBytes: options.cacheBytes });
  if (options.split !== undefined) {
    const paths = files.get(options.split);
    if (paths === undefined) throw missingSplit(path, options.split, [...files.keys()]);
    return open(options.split, paths);
  }
  const splits = [...files].map(([split, paths]) => [split, open(split, paths)] as const);
  return new DatasetDict<R>(Object.fromEntries(splits), path);
}

/** The Parquet files of a folder by split, train, validation and test first. */
function findSplits(folder: string): Map<string, string[]> {
  const places = [folder, join(folder, "data")];
  for (const place of places) {
    const files = listParquet(place);
    if (files.length === 0) continue;
    const splits = new Map<string, string[]>();
    for (const file of files) {
      const split = splitOf(relative(place, file)) ?? "train";
      splits.set(split, [...(splits.get(split) ?? []), file]);
    }
    for (const [split, paths] of splits) checkShards(folder, split, paths);
    const known = Object.keys(SPLIT_WORDS).filter((split) => splits.has(split));
    const others = [...splits.keys()].filter((split) => !known.includes(split));
    return new Map([...known, ...others].map((split) => [split, splits.get(split)!]));
  }
  const there = readdirSync(folder).sort();
  const shown = there.slice(0, 8).join(", ") + (there.length > 8 ? `, … ${there.length} in all` : "");
  throw new DatasetError({
    code: "E_FILE_NOT_FOUND",
    where: folder,
    message: `the folder holds no .parquet file, nor does its data/ (found: ${shown || "nothing"}).`,
    fix: "Give a folder with train.parquet or data/train-00000-of-00001.parquet in it.",
    detail: { files: there },
  });
}

/** Parquet files of a folder and, for one level, of sub-folders named after a split; sorted. */
function listParquet(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const files: string[] = [];
  for (const entry of readdirSync(folder).sort()) {
    const path = join(folder, entry);
    if (statSync(path).isDirectory()) {
      if (wordSplit(entry) !== undefined) {
        files.push(
          ...readdirSync(path)
            .filter((name) => name.endsWith(".parquet"))
            .sort()
            .map((name) => join(path, name)),
        );
      }
    } else if (entry.endsWith(".parquet")) files.push(path);
  }
  return files;
}

/** The split that a path tells: a split's word standing alone in it, else what stands before `-00000-of-00001`. */
function splitOf(path: string): string | undefined {
  for (const word of path.toLowerCase().split(/[^a-z]+/)) {
    const split = wordSplit(word);
    if (split !== undefined) return split;
  }
  return SHARD.exec(basename(path))?.[1];
}

function wordSplit(word: string): string | undefined {
  return Object.keys(SPLIT_WORDS).find((split) => SPLIT_WORDS[split]!.includes(word.toLowerCase()));
}

function checkShards(folder: string, split: string, paths: readonly string[]): void {
  const shards = paths.map((path) => SHARD.exec(basename(path))).filter((match) => match !== null);
  const total = Number(shards[0]?.[3] ?? 0);
  const there = new Set(shards.map((match) => Number(match[2])));
  const missing = Array.from({ length: total }, (_, i) => i).filter((i) => !there.has(i));
  if (missing.length === 0) return;
  const pad = (n: number): string => String(n).padStart(5, "0");
  const names = missing.slice(0, 4).map((i) => `${shards[0]![1]}-${pad(i)}-of-${pad(total)}.parquet`);
  throw new DatasetError({
    code: "E_SHARD_MISSING",
    where: folder,
    message: `split "${split}" has ${there.size} of its ${total} files; missing: ${names.join(", ")}${missing.length > 4 ? ", …" : ""}.`,
    fix: "Download the missing files, or name the files to use with Dataset.fromParquet.",
    detail: { split, missing, total },
  });
}
