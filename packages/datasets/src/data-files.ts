/** Which files of a folder, or of a repository of the hub, are which split: by the card, else by their names. */
import { readCard } from "./dataset-card.js";
import { DatasetError } from "./errors.js";
import type { Features } from "./features.js";

/** Kinds of files that can be read. */
export type DataFormat = "parquet" | "csv" | "json";

/** The files of a data set. */
export interface DataFiles {
  /** Name of the configuration. */
  config: string;
  format: DataFormat;
  /** Paths as they were given, by split: train, validation and test first. */
  splits: ReadonlyMap<string, readonly string[]>;
  /** What the card says that columns hold; columns that it does not name are missing here. */
  features: Features;
}

/** Hugging Face's words for each split, as they stand in file and folder names. */
const SPLIT_WORDS: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "val", "dev"],
  test: ["test", "testing", "eval", "evaluation"],
};
const SHARD = /^(.*)-(\d{5})-of-(\d{5})\b/;
const DATA_FOLDER = "data/";

/** The format that a file's name tells, undefined for files that hold no data. */
export function formatOf(path: string): DataFormat | undefined {
  const ending = /\.(parquet|csv|tsv|jsonl|ndjson|json)(\.gz)?$/i.exec(path);
  switch (ending?.[1]?.toLowerCase()) {
    case "parquet":
      return ending?.[2] ? undefined : "parquet";
    case "csv":
    case "tsv":
      return "csv";
    case undefined:
      return undefined;
    default:
      return "json";
  }
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The split that a word means. */
export function wordSplit(word: string): string | undefined {
  return Object.keys(SPLIT_WORDS).find((split) => SPLIT_WORDS[split]!.includes(word.toLowerCase()));
}

/** The split that a path tells: a split's word standing alone in it, else what stands before `-00000-of-00001`. */
export function splitOf(path: string): string | undefined {
  for (const word of path.toLowerCase().split(/[^a-z]+/)) {
    const split = wordSplit(word);
    if (split !== undefined) return split;
  }
  return SHARD.exec(baseName(path))?.[1];
}

/**
 * Finds the data among the files of a folder: those of a configuration in the YAML of its card (`configs:` with `data_files`),
 * else files whose names tell a split, in the folder, in its `data/`, or in sub-folders, each of which is then a
 * configuration of its own.
 * @param where what error messages call it
 * @param files paths relative to the folder, with `/`
 * @param card the text of README.md, if there is one
 * @param config name of the configuration; default: the only one, the card's default, or the one called `default`
 * @throws DatasetError E_FILE_NOT_FOUND, E_CONFIG
 */
export function findDataFiles(
  where: string,
  files: readonly string[],
  card: string | null,
  config?: string,
): DataFiles {
  const { configs, features } = readCard(card);
  const featuresOf = (name: string): Features =>
    features.get(name) ?? (features.size === 1 ? [...features.values()][0]! : {});
  if (configs.some(({ dataFiles, dataDir }) => dataFiles !== null || dataDir !== null)) {
    const chosen = chooseConfig(where, configs, config);
    const base = chosen.dataDir === null ? "" : `${chosen.dataDir}/`;
    const inside = files.filter((path) => path.startsWith(base));
    const found = chosen.dataFiles
      ? byPattern(where, chosen.name, inside, chosen.dataFiles, base)
      : byName(where, inside, base);
    return { config: chosen.name, ...found, features: featuresOf(chosen.name) };
  }
  const data = files.filter((path) => isData(path));
  for (const base of ["", DATA_FOLDER]) {
    // A file beside, or in a folder that is called like a split.
    const here = data.filter((path) => {
      const folders = path.startsWith(base) ? path.slice(base.length).split("/").slice(0, -1) : null;
      return (
        folders !== null && folders.length <= 1 && folders.every((name) => wordSplit(name) !== undefined)
      );
    });
    if (here.length > 0 && (config === undefined || config === "default")) {
      return { config: "default", ...byName(where, here, base), features: featuresOf("default") };
    }
  }
  const folders = [
    ...new Set(data.filter((path) => path.includes("/")).map((path) => path.slice(0, path.indexOf("/")))),
  ];
  if (folders.length === 0) throw noData(where, files);
  const named = folders.map((name) => ({ name, isDefault: name === "default" }));
  const { name } = chooseConfig(where, named, config);
  const inside = data.filter((path) => path.startsWith(`${name}/`));
  return { config: name, ...byName(where, inside, `${name}/`), features: featuresOf(name) };
}

/** A .json file in a folder may be anything: it counts if its name tells a split. */
function isData(path: string): boolean {
  const format = formatOf(path);
  return format !== undefined && (!/\.json(\.gz)?$/i.test(path) || splitOf(path) !== undefined);
}

function chooseConfig<C extends { name: string; isDefault: boolean }>(
  where: string,
  configs: readonly C[],
  wanted: string | undefined,
): C {
  const chosen =
    wanted !== undefined
      ? configs.find(({ name }) => name === wanted)
      : (configs.find(({ isDefault }) => isDefault) ?? (configs.length === 1 ? configs[0] : undefined));
  if (chosen) return chosen;
  const names = configs.map(({ name }) => name);
  const shown = names.slice(0, 20).join(", ") + (names.length > 20 ? `, … ${names.length} in all` : "");
  throw new DatasetError({
    code: "E_CONFIG",
    where,
    message:
      wanted === undefined
        ? `it has ${names.length} configurations.`
        : `there is no configuration "${wanted}".`,
    fix: `Name one of them: ${shown}.`,
    detail: { config: wanted, configs: names },
  });
}

interface Found {
  format: DataFormat;
  splits: ReadonlyMap<string, readonly string[]>;
}

function byPattern(
  where: string,
  config: string,
  files: readonly string[],
  patterns: ReadonlyMap<string, readonly string[]>,
  base: string,
): Found {
  const splits = new Map<string, string[]>();
  for (const [split, paths] of patterns) {
    const expressions = paths.map((path) => globToRegExp(base + path.replace(/^\.\//, "")));
    const found = files.filter(
      (path) => formatOf(path) !== undefined && expressions.some((expression) => expression.test(path)),
    );
    if (found.length === 0) {
      throw new DatasetError({
        code: "E_FILE_NOT_FOUND",
        where,
        message: `no file fits ${paths.join(", ")}, where README.md puts split "${split}" of configuration "${config}".`,
        fix: "Download the missing files, or correct data_files in the README.md. Parquet, CSV and JSON lines can be read.",
        detail: { split, config, patterns: paths },
      });
    }
    splits.set(split, found.sort());
  }
  return oneFormat(splits);
}

function byName(where: string, files: readonly string[], base: string): Found {
  const splits = new Map<string, string[]>();
  const data = files.filter(isData);
  if (data.length === 0) throw noData(where, files);
  const { format } = oneFormat(new Map([["all", data]]));
  for (const path of data.filter((one) => formatOf(one) === format).sort()) {
    const split = splitOf(path.slice(base.length)) ?? "train";
    splits.set(split, [...(splits.get(split) ?? []), path]);
  }
  for (const [split, paths] of splits) checkShards(where, split, paths);
  return { format, splits: inOrder(splits) };
}

/** Parquet where there is any, else what most files are. */
function oneFormat(splits: ReadonlyMap<string, readonly string[]>): Found {
  const counts = new Map<DataFormat, number>();
  for (const path of [...splits.values()].flat()) {
    const format = formatOf(path)!;
    counts.set(format, (counts.get(format) ?? 0) + (format === "parquet" ? 1e6 : 1));
  }
  const format = [...counts].sort((a, b) => b[1] - a[1])[0]![0];
  const kept = [...splits].map(
    ([split, paths]) => [split, paths.filter((path) => formatOf(path) === format)] as const,
  );
  return { format, splits: inOrder(new Map(kept.filter(([, paths]) => paths.length > 0))) };
}

/** train, validation and test first. */
export function inOrder<T>(splits: ReadonlyMap<string, T>): Map<string, T> {
  const known = Object.keys(SPLIT_WORDS).filter((split) => splits.has(split));
  const others = [...splits.keys()].filter((split) => !known.includes(split));
  return new Map([...known, ...others].map((split) => [split, splits.get(split)!]));
}

function noData(where: string, files: readonly string[]): DatasetError {
  const there = [...new Set(files.map((path) => path.split("/")[0]!))].sort();
  const shown = there.slice(0, 8).join(", ") + (there.length > 8 ? `, … ${there.length} in all` : "");
  return new DatasetError({
    code: "E_FILE_NOT_FOUND",
    where,
    message: `it holds no .parquet file, no .csv, no .jsonl and no pictures, nor does its data/ (found: ${shown || "nothing"}).`,
    fix: "Give a folder with train.parquet, train.csv, data/train-00000-of-00001.parquet or train/<class>/*.jpg in it.",
    detail: { files: there },
  });
}

/** A shell's pattern: `*` and `?` within a folder, `**` across folders, `[ab]`, `{a,b}`. */
export function globToRegExp(pattern: string): RegExp {
  let source = "";
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (pattern.startsWith("**/", i)) {
      source += "(?:.*/)?";
      i += 2;
    } else if (pattern.startsWith("**", i)) {
      source += ".*";
      i += 1;
    } else if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "[" && pattern.includes("]", i + 2)) {
      const end = pattern.indexOf("]", i + 2);
      source += `[${pattern
        .slice(i + 1, end)
        .replace(/^!/, "^")
        .replaceAll("\\", "\\\\")}]`;
      i = end;
    } else if (char === "{" && pattern.includes("}", i)) {
      const end = pattern.indexOf("}", i);
      const choices = pattern.slice(i + 1, end).split(",");
      source += `(?:${choices.map((choice) => globToRegExp(choice).source.slice(1, -1)).join("|")})`;
      i = end;
    } else source += char.replace(/[\\^$.|+()[\]{}]/, "\\$&");
  }
  return new RegExp(`^${source}$`);
}

function checkShards(where: string, split: string, paths: readonly string[]): void {
  const shards = paths.map((path) => SHARD.exec(baseName(path))).filter((match) => match !== null);
  const total = Number(shards[0]?.[3] ?? 0);
  const there = new Set(shards.map((match) => Number(match[2])));
  const missing = Array.from({ length: total }, (_, i) => i).filter((i) => !there.has(i));
  if (missing.length === 0) return;
  const pad = (n: number): string => String(n).padStart(5, "0");
  const ending = /\.[a-z.]+$/i.exec(paths[0]!)?.[0] ?? "";
  const names = missing.slice(0, 4).map((i) => `${shards[0]![1]}-${pad(i)}-of-${pad(total)}${ending}`);
  throw new DatasetError({
    code: "E_SHARD_MISSING",
    where,
    message: `split "${split}" has ${there.size} of its ${total} files; missing: ${names.join(", ")}${missing.length > 4 ? ", …" : ""}.`,
    fix: "Download the missing files, or name the files to use with Dataset.fromParquet.",
    detail: { split, missing, total },
  });
}
