/** Folders of pictures: one folder a class, in folders for the splits or without; and Tiny ImageNet's own layout. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readCsvFiles, type Table } from "../csv-file.js";
import { formatOf, wordSplit } from "../data-files.js";
import { DatasetError } from "../errors.js";
import { ClassLabel, type Feature, type Features, Image } from "../features.js";
import { readJsonFiles } from "../json-file.js";
import type { EncodedImage } from "./encoded-image.js";
import { readAnnotations } from "./tiny-imagenet.js";

/** The columns of one split. */
export interface ImageTable {
  columns: Readonly<Record<string, ArrayLike<unknown>>>;
  features: Features;
}

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$/i;
/** Hugging Face's name of a table that lies beside the pictures it is about. */
const METADATA = /(^|\/)metadata\.(csv|jsonl)$/i;

const isPicture = (path: string): boolean => PICTURE.test(path);

/** True where pictures are the data, rather than lying beside tables of them. */
export function isImageFolder(files: readonly string[]): boolean {
  const isTable = (path: string): boolean =>
    formatOf(path) !== undefined && !METADATA.test(path) && !/\.json$/i.test(path);
  return files.some(isPicture) && !files.some(isTable);
}

interface Found {
  /** From the folder on. */
  path: string;
  split: string;
  /** Name of its class; null for none. */
  className: string | null;
}

/**
 * The splits of a folder of pictures: `<split>/<class>/….jpg`, or `<class>/….jpg`, which is train. Classes are the folders' names,
 * sorted, the same in all splits; pictures outside of such a folder have the label -1, and where no picture, or every one, has
 * the same there is no label column. `metadata.csv` or `metadata.jsonl` with a column `file_name` takes the place of the labels.
 * Nothing but names is read: rows hold `{ bytes: null, path }`.
 * @param files paths from the folder on, with `/`
 * @throws DatasetError E_IMAGE_FOLDER; E_CSV, E_JSON of the metadata
 */
export function readImageFolder(folder: string, files: readonly string[]): Map<string, ImageTable> {
  const pictures = files.filter(isPicture);
  const metadata = files.filter((path) => METADATA.test(path));
  const isTiny = files.includes("wnids.txt") && pictures.some((path) => /^train\/[^/]+\/images\//.test(path));
  const found = isTiny ? tinyImagenet(folder, pictures) : byFolders(pictures);
  const names = [...new Set(found.map((one) => one.className))].filter((name) => name !== null).sort();
  const hasLabels = metadata.length === 0 && (isTiny || names.length > 1);
  const label = new ClassLabel(names);
  const splits = new Map<string, ImageTable>();
  for (const split of new Set(found.map((one) => one.split))) {
    const rows = found.filter((one) => one.split === split);
    const image: EncodedImage[] = rows.map(({ path }) => ({ bytes: null, path: join(folder, path) }));
    const columns: Record<string, ArrayLike<unknown>> = { image };
    const features: Record<string, Feature> = { image: new Image() };
    if (hasLabels) {
      const numbers = new Map(names.map((name, i) => [name, i]));
      columns.label = Int32Array.from(rows, ({ className }) =>
        className === null ? -1 : numbers.get(className)!,
      );
      features.label = label;
    }
    for (const file of metadata) {
      const base = file.slice(0, file.lastIndexOf("/") + 1);
      if (!rows.some(({ path }) => path.startsWith(base))) continue;
      const added = joinMetadata(
        join(folder, file),
        base,
        rows.map(({ path }) => path),
      );
      Object.assign(columns, added.columns);
      Object.assign(features, added.features);
    }
    splits.set(split, { columns, features });
  }
  return splits;
}

function byFolders(pictures: readonly string[]): Found[] {
  const splitOf = (path: string): string | undefined => {
    const [first, ...rest] = path.split("/");
    return rest.length > 0 ? wordSplit(first!) : undefined;
  };
  const inSplits = pictures.every((path) => splitOf(path) !== undefined);
  return pictures.map((path) => {
    const parts = path.split("/").slice(inSplits ? 1 : 0);
    return {
      path,
      split: inSplits ? splitOf(path)! : "train",
      className: parts.length > 1 ? parts[0]! : null,
    };
  });
}

/** `train/<wnid>/images/…`, `val/images/…` with `val/val_annotations.txt`, `test/images/…` without labels. */
function tinyImagenet(folder: string, pictures: readonly string[]): Found[] {
  const annotations = join(folder, "val", "val_annotations.txt");
  const classes = existsSync(annotations) ? readAnnotations(annotations) : new Map<string, string>();
  const found: Found[] = [];
  for (const path of [...pictures].sort(byNumber)) {
    const [top, ...rest] = path.split("/");
    const split = wordSplit(top!);
    const name = rest.at(-1);
    if (split === undefined || name === undefined) continue;
    // val/<wnid>/… is what scripts that sort the validation set by class make of it.
    const own = rest.length > 1 && rest[0] !== "images" ? rest[0]! : null;
    const className = own ?? (split === "validation" ? (classes.get(name) ?? null) : null);
    if (split === "validation" && className === null) {
      throw new DatasetError({
        code: "E_IMAGE_FOLDER",
        where: annotations,
        message: `it does not name the class of ${path}.`,
        fix: "Unpack tiny-imagenet-200.zip again: val_annotations.txt has a line for each picture of val/images.",
        detail: { path },
      });
    }
    found.push({ path, split, className });
  }
  return found;
}

/** `val_9.JPEG` before `val_10.JPEG`, whatever the machine's language. */
function byNumber(a: string, b: string): number {
  const padded = (path: string): string => path.replace(/\d+/g, (digits) => digits.padStart(12, "0"));
  const [x, y] = [padded(a), padded(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** The metadata's columns in the order of the pictures; null for those it does not name. */
function joinMetadata(file: string, base: string, paths: readonly string[]): Table {
  const { columns, features } = /csv$/i.test(file) ? readCsvFiles([file]) : readJsonFiles([file]);
  const names = columns.file_name;
  if (names === undefined) {
    throw new DatasetError({
      code: "E_IMAGE_FOLDER",
      where: file,
      message: `it has no column "file_name" (its columns are ${Object.keys(columns).join(", ")}).`,
      fix: "Name each picture's file there, from the folder of the metadata on.",
    });
  }
  const rowOf = new Map(Array.from(names, (name, row) => [base + String(name), row]));
  if (!paths.some((path) => rowOf.has(path))) {
    throw new DatasetError({
      code: "E_IMAGE_FOLDER",
      where: file,
      message: `none of the files it names is there; the first is ${[...rowOf.keys()][0]}.`,
      fix: "file_name counts from the folder of the metadata on, with /.",
    });
  }
  const joined: Record<string, unknown[]> = {};
  const kept: Record<string, Feature> = {};
  for (const [name, values] of Object.entries(columns)) {
    if (name === "file_name") continue;
    joined[name] = paths.map((path) => {
      const row = rowOf.get(path);
      return row === undefined ? null : (values[row] ?? null);
    });
    kept[name] = features[name]!;
  }
  return { columns: joined, features: kept };
}
