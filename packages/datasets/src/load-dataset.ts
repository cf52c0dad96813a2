import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readCsvFiles } from "./csv-file.js";
import { type DataFiles, findDataFiles, formatOf, inOrder, splitOf } from "./data-files.js";
import { Dataset, type Row } from "./dataset.js";
import { DatasetDict, missingSplit } from "./dataset-dict.js";
import { DatasetError } from "./errors.js";
import { ClassLabel, type Features, Value } from "./features.js";
import { withoutGreyscale } from "./images/greyscale.js";
import { isImageFolder, readImageFolder } from "./images/image-folder.js";
import { readJsonFiles } from "./json-file.js";

/** Options of {@link loadDataset}. */
export interface LoadOptions {
  /** Load this split alone. */
  split?: string;
  /** What error messages call it; default: its path. */
  name?: string;
  /** Name of the configuration, where a folder has several. Default: the only one, or the default one. */
  config?: string;
  /** What columns hold, of CSV and JSON files; those not named are found from their values. */
  features?: Features;
  /** Parquet: decoded values that may stay in memory, in bytes; default 64 MiB. */
  cacheBytes?: number;
  /** Leave out pictures that their file's header calls grey (Pillow's modes L, LA, 1, I;16); reads every file once. Default false. */
  skipGreyscale?: boolean;
}

/**
 * Loads a local data set: a Parquet, CSV or JSON-lines file, or a folder with files named as Hugging Face names them
 * (`train.parquet`, `train-00000-of-00004.parquet`, `validation.csv`, `test.jsonl`, `train/….parquet`), in the folder, in its `data/`, or in a
 * folder for each configuration; the YAML in a folder's README.md (`configs:`) goes before names. A file whose name tells no split is
 * `train`. A folder of pictures, one folder a class (`<split>/<class>/….jpg`, `<class>/….jpg`), and Tiny ImageNet's own layout give rows with
 * `image: { bytes: null, path }`.
 * Of Parquet only footers are read, see {@link Dataset.fromParquet}; CSV and JSON are read whole.
 * @returns all splits, or with `split` that one
 * @throws DatasetError E_FILE_NOT_FOUND, E_SPLIT_MISSING, E_SHARD_MISSING, E_CONFIG, E_IMAGE_FOLDER, and as Dataset.fromParquet, fromCsv, fromJson
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
      fix: "Give a .parquet, .csv or .jsonl file, a folder with train.parquet or data/train-00000-of-00001.parquet in it, or one of pictures.",
    });
  }
  const name = options.name ?? path;
  const splits = statSync(path).isDirectory()
    ? splitsOfFolder<R>(path, name, options)
    : splitsOf<R>(ofFile(path), name, options);
  const open = (make: () => Dataset<R>): Dataset<R> =>
    options.skipGreyscale ? withoutGreyscale(make()) : make();
  if (options.split !== undefined) {
    const make = splits.get(options.split);
    if (make === undefined) throw missingSplit(name, options.split, [...splits.keys()]);
    return open(make);
  }
  const opened = [...splits].map(([split, make]) => [split, open(make)] as const);
  return new DatasetDict<R>(Object.fromEntries(opened), name);
}

/** What opens a split, by its name. */
type Splits<R extends object> = ReadonlyMap<string, () => Dataset<R>>;

function splitsOfFolder<R extends object>(path: string, name: string, options: LoadOptions): Splits<R> {
  const list = listFiles(path);
  if (!isImageFolder(list)) return splitsOf<R>(ofFolder(path, list, options), name, options);
  const splits = [...inOrder(readImageFolder(path, list))].map(
    ([split, { columns, features }]) =>
      [split, () => Dataset.fromDict<R>(columns, features, `${name} (${split})`)] as const,
  );
  return new Map(splits);
}

function splitsOf<R extends object>({ base, files }: Place, name: string, options: LoadOptions): Splits<R> {
  const splits = [...files.splits].map(([split, paths]) => {
    const whole = paths.map((one) => join(base, one));
    return [split, () => openSplit<R>(whole, `${name} (${split})`, files, options)] as const;
  });
  return new Map(splits);
}

interface Place {
  base: string;
  files: DataFiles;
}

function ofFile(path: string): Place {
  const format = formatOf(path) ?? "parquet";
  const name = basename(path);
  const splits = new Map([[splitOf(name) ?? "train", [name]]]);
  return { base: dirname(path), files: { config: "default", format, splits, features: {} } };
}

function ofFolder(path: string, list: readonly string[], options: LoadOptions): Place {
  const card = join(path, "README.md");
  const text = existsSync(card) ? readFileSync(card, "utf8") : null;
  return { base: path, files: findDataFiles(path, list, text, options.config) };
}

/** Deep enough for `<config>/<split>/0000.parquet`, and not the whole of a disk. */
const DEPTH = 4;

function listFiles(folder: string, prefix = "", depth = DEPTH): string[] {
  const files: string[] = [];
  for (const entry of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    const path = prefix + entry.name;
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const isFolder =
      entry.isDirectory() ||
      (entry.isSymbolicLink() && statSync(join(folder, path), { throwIfNoEntry: false })?.isDirectory());
    if (!isFolder) files.push(path);
    else if (depth > 1) files.push(...listFiles(folder, `${path}/`, depth - 1));
    else files.push(`${path}/`);
  }
  return files.sort();
}

function openSplit<R extends object>(
  paths: readonly string[],
  name: string,
  files: DataFiles,
  options: LoadOptions,
): Dataset<R> {
  if (files.format === "parquet") {
    const dataset = Dataset.fromParquet<R>(paths, { name, cacheBytes: options.cacheBytes });
    // Classes that the card names and the files do not.
    const classes = Object.entries(files.features).filter(([column, feature]) => {
      const own = dataset.features[column];
      return feature instanceof ClassLabel && own instanceof Value && /int/.test(own.dtype);
    });
    return classes.reduce(
      (changed, [column, feature]) => changed.castColumn(column, feature as ClassLabel),
      dataset,
    );
  }
  const read = files.format === "csv" ? readCsvFiles : readJsonFiles;
  const { columns, features } = read(paths, options.features ?? {}, files.features);
  return Dataset.fromDict<R>(columns, features, name);
}
