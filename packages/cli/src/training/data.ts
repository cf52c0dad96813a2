import { existsSync } from "node:fs";
import {
  ClassLabel,
  Dataset,
  type DatasetDict,
  DatasetError,
  findDataFiles,
  Image,
  loadDataset,
  type Row,
  Value,
} from "@wgrad/datasets";
import { parseRepoId, resolveDataset } from "@wgrad/models/node";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import {
  type DataCollator,
  dataCollatorWithFlattening,
  dataCollatorWithPadding,
  type Example,
  type TokenBatch,
} from "@wgrad/trainer";
import { CommandError, UsageError } from "../errors.js";
import { hubOptions } from "../hub.js";
import type { Ui } from "../ui.js";

/** Options of {@link openDataset}. */
export interface OpenOptions {
  /** Never touch the network. */
  offline?: boolean;
  /** Where progress is shown. */
  ui: Ui;
}

/** What columns of texts and of classes are called, in Hugging Face's data sets and in IMDB's `review,sentiment`. */
const TEXT_COLUMNS = ["text", "sentence", "review"] as const;
const LABEL_COLUMNS = ["label", "labels", "sentiment"] as const;

/** More different texts than this are no classes. */
const MOST_CLASSES = 256;

/**
 * Opens a data set: a Parquet, CSV or JSON-lines file, a folder with the splits, or a data set of the hub (`org/name`, `name`; with
 * `@revision` for a branch, tag or commit). Where there are several configurations, `:config` behind the name chooses one:
 * `nyu-mll/glue:sst2@main`. A label column of texts becomes one of classes, the same in all splits.
 * @throws DatasetError for what is no data set, HubError for what cannot be downloaded, each naming the way out
 */
export async function openDataset(nameOrPath: string, options: OpenOptions): Promise<DatasetDict> {
  return encodeLabels(await loadByName(nameOrPath, options));
}

/** The folder that Tiny ImageNet's own archive unpacks to: the copies on the hub lack the names of the classes. */
const TINY_IMAGENET = "tiny-imagenet-200";

async function loadByName(nameOrPath: string, { offline, ui }: OpenOptions): Promise<DatasetDict> {
  if (existsSync(nameOrPath)) return loadDataset(nameOrPath) as DatasetDict;
  const [, before, config, revision = ""] = /^(.+?)(?::([\w.-]+))?(@.+)?$/.exec(nameOrPath) ?? [];
  const chosen = config === undefined ? {} : { config };
  if (config !== undefined && existsSync(before!)) return loadDataset(before!, chosen) as DatasetDict;
  const name = `${before}${revision}`;
  const isFile = /\.(parquet|csv|tsv|jsonl?|ndjson)(\.gz)?$/i.test(nameOrPath);
  if (nameOrPath === TINY_IMAGENET) {
    throw new CommandError(
      "E_DATASET_NOT_FOUND",
      `${TINY_IMAGENET}: there is no such folder here. Fetch http://cs231n.stanford.edu/${TINY_IMAGENET}.zip (about 240 MB) and unpack it, ` +
        "or name another data set of pictures: --dataset folder-or-hub-id.",
    );
  }
  if (isFile || !parseRepoId(name)) return loadDataset(nameOrPath) as DatasetDict;
  const folder = await resolveDataset(name, {
    ...hubOptions(offline, ui),
    select: (files, card) => [...filesOfHub(name, files, card, config).splits.values()].flat(),
  });
  return loadDataset(folder, { ...chosen, name: nameOrPath }) as DatasetDict;
}

function filesOfHub(name: string, files: readonly string[], card: string | null, config: string | undefined) {
  try {
    return findDataFiles(name, files, card, config);
  } catch (error) {
    if (!(error instanceof DatasetError) || error.code !== "E_FILE_NOT_FOUND") throw error;
    const [plain] = name.split("@");
    throw new CommandError(
      "E_DATASET_FILES",
      `${name}: ${error.found} The hub has many data sets as Parquet too: try ${plain}@refs/convert/parquet`,
      { cause: error },
    );
  }
}

/** Texts as classes, in the column that is called as labels are. */
function encodeLabels(dict: DatasetDict): DatasetDict {
  for (const [, split] of dict) {
    const column = LABEL_COLUMNS.find((name) => split.columnNames.includes(name));
    const feature = column === undefined ? undefined : split.features[column];
    if (!(feature instanceof Value) || !/string$/.test(feature.dtype)) continue;
    const values = Array.from(split.column(column!) as ArrayLike<unknown>);
    if (new Set(values).size > MOST_CLASSES) continue;
    return dict.classEncodeColumn(column!);
  }
  return dict;
}

/**
 * A column found by its name, by convention, or because it is the only one of its kind.
 * @param kind what it holds, for the message where no column does
 */
export function chooseColumn(
  dataset: Dataset,
  given: string | null,
  conventional: readonly string[],
  fits: (column: string) => boolean,
  flag: string,
  kind: string,
): string {
  if (given !== null) {
    dataset.feature(given);
    return given;
  }
  const named = conventional.find((name) => dataset.columnNames.includes(name));
  if (named !== undefined) return named;
  const fitting = dataset.columnNames.filter(fits);
  if (fitting.length === 1) return fitting[0]!;
  if (fitting.length === 0) {
    const holdsPictures = dataset.columnNames.some((name) => dataset.features[name] instanceof Image);
    const advice = holdsPictures
      ? " For pictures there are the labs whose names begin with clip: wgrad lab."
      : "";
    throw new UsageError(
      `${dataset.name}: no column of ${kind}. Its columns are ${dataset.columnNames.join(", ")}.${advice || ` Give other data, or name the column with ${flag}.`}`,
    );
  }
  throw new UsageError(
    `${dataset.name}: which column is meant? Its columns are ${dataset.columnNames.join(", ")}. Name it with ${flag}.`,
  );
}

/** The column of the texts. */
export function textColumnOf(dataset: Dataset, given: string | null): string {
  const isText = (name: string) => {
    const feature = dataset.features[name];
    return feature instanceof Value && /string$/.test(feature.dtype);
  };
  const column = chooseColumn(dataset, given, TEXT_COLUMNS, isText, "--text-column", "texts");
  if (!isText(column)) {
    throw new CommandError(
      "E_COLUMN_KIND",
      `${dataset.name}: column "${column}" does not hold texts. Name another with --text-column.`,
    );
  }
  return column;
}

/** The column of the classes. */
export function labelColumnOf(dataset: Dataset, given: string | null): string {
  return chooseColumn(
    dataset,
    given,
    LABEL_COLUMNS,
    (name) => dataset.features[name] instanceof ClassLabel,
    "--label-column",
    "classes",
  );
}

/** Names of the classes: the ClassLabel's; else the values themselves, sorted. */
export function labelNamesOf(dataset: Dataset, column: string): string[] {
  const feature = dataset.feature(column);
  if (feature instanceof ClassLabel) return [...feature.names];
  const values = Array.from(dataset.column(column) as ArrayLike<unknown>);
  if (values.every((v) => typeof v === "string")) return [...new Set(values as string[])].sort();
  const row = values.findIndex((v) => !isWhole(v));
  if (row >= 0) {
    throw new CommandError(
      "E_LABEL_RANGE",
      `${dataset.name}: the ${column} of row ${row} is ${JSON.stringify(values[row] ?? null)}. Classes are whole numbers from 0 on, or names.`,
    );
  }
  const count = Math.max(...(values as (number | bigint)[]).map(Number)) + 1;
  return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
}

function isWhole(value: unknown): boolean {
  return typeof value === "bigint" || (Number.isInteger(value) && (value as number) >= -1);
}

/** How a split becomes examples. */
export interface ExampleOptions {
  textColumn: string;
  /** Null where the labels are not needed. */
  labelColumn: string | null;
  /** Names of the model's classes, in its order. */
  labels: readonly string[];
  tokenizer: PreTrainedTokenizer;
  maxLength: number;
  /** Whether -1, Hugging Face's "no label", makes a row useless. */
  needsLabels: boolean;
}

/** A tokenized split. */
export interface TokenizedSplit {
  examples: Dataset<Example>;
  /** Texts that were cut at `maxLength`. */
  truncated: number;
  /** Texts without a character. */
  empty: number;
  /** Tokens of all examples. */
  tokens: number;
}

const BATCH = 256;

/**
 * Tokenizes a split.
 * @throws CommandError for a text that is null and a label outside the model's classes, naming the row
 */
export function tokenizeSplit(dataset: Dataset, options: ExampleOptions, ui: Ui): TokenizedSplit {
  const { tokenizer, maxLength, textColumn } = options;
  const inputIds: Int32Array[] = [];
  const result = { truncated: 0, empty: 0, tokens: 0 };
  const progress = ui.progress(`Tokenizing ${dataset.numRows} texts`, dataset.numRows);
  for (let start = 0; start < dataset.numRows; start += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, dataset.numRows - start) }, (_, i) => start + i);
    const texts = Array.from(dataset.batch(indices, [textColumn])[textColumn]!) as (string | null)[];
    const missing = texts.findIndex((text) => typeof text !== "string");
    if (missing >= 0) {
      throw new CommandError(
        "E_TEXT",
        `${dataset.name}: the ${textColumn} of row ${start + missing} is null. Remove the row, or fill it in.`,
      );
    }
    const strings = texts as string[];
    // One token over the limit is enough to see what was cut.
    for (const [i, ids] of tokenizer(strings, {
      truncation: true,
      maxLength: maxLength + 1,
    }).inputIds.entries()) {
      if (strings[i]!.trim() === "") result.empty++;
      let kept = ids;
      if (ids.length > maxLength) {
        result.truncated++;
        kept = tokenizer.encode(strings[i]!, { truncation: true, maxLength });
      }
      inputIds.push(Int32Array.from(kept));
      result.tokens += kept.length;
    }
    progress.update(start + indices.length);
  }
  progress.finish();
  const label = options.labelColumn === null ? null : labelsOf(dataset, options.labelColumn, options);
  // The texts go along for those who show what the model made of them.
  const texts = Array.from(dataset.column(textColumn) as ArrayLike<unknown>);
  const columns: Record<string, ArrayLike<unknown>> = { inputIds, text: texts, ...(label ? { label } : {}) };
  return { examples: Dataset.fromDict<Example>(columns, undefined, dataset.name), ...result };
}

/** Class ids of the model for the labels of a split; `Int32Array`, -1 where there is none and that is allowed. */
export function labelsOf(
  dataset: Dataset,
  column: string,
  { labels, needsLabels }: Pick<ExampleOptions, "labels" | "needsLabels">,
): Int32Array | null {
  const feature = dataset.feature(column);
  const values = Array.from(dataset.column(column) as ArrayLike<unknown>);
  const names = feature instanceof ClassLabel ? feature.names : null;
  // A model whose classes have the same names in another order is asked by name.
  const byName = names && names.length === labels.length && names.every((name) => labels.includes(name));
  const ids = values.map((value, row) => {
    let id = typeof value === "string" ? labels.indexOf(value) : Number(value ?? -1);
    if (byName && id >= 0) id = labels.indexOf(names[id]!);
    const isGiven = Number.isInteger(id) && id >= 0 && id < labels.length;
    if (isGiven || (id === -1 && typeof value !== "string" && !needsLabels)) return id;
    const shown = typeof value === "bigint" ? String(value) : JSON.stringify(value ?? null);
    throw new CommandError(
      "E_LABEL_RANGE",
      `${dataset.name}: the ${column} of row ${row} is ${shown}, but the model's classes are 0 … ${labels.length - 1} (${labels.slice(0, 8).join(", ")}). ` +
        "Correct the row, or name another column with --label-column.",
    );
  });
  return ids.every((id) => id === -1) ? null : Int32Array.from(ids);
}

/** A split, or some of its rows drawn with a seed. @throws DatasetError E_SPLIT_MISSING */
export function takeSplit(
  splits: DatasetDict,
  split: string,
  subset: number | null,
  seed: number,
): Dataset<Row> {
  const whole = splits.get(split);
  return subset === null || subset >= whole.numRows ? whole : whole.shuffle({ seed }).take(subset);
}

/** Says in one line what tokenizing cut or found empty, if anything. */
export function remarks(name: string, split: TokenizedSplit, maxLength: number): string[] {
  const lines: string[] = [];
  if (split.truncated > 0)
    lines.push(
      `${name}: ${split.truncated} of ${split.examples.numRows} texts are longer than ${maxLength} tokens and were cut (--max-length).`,
    );
  if (split.empty > 0)
    lines.push(
      `${name}: ${split.empty} of ${split.examples.numRows} texts are empty; they stay, as nothing but special tokens.`,
    );
  return lines;
}

/** How batches are made of examples: the settings of a recipe. */
export interface BatchSettings {
  /** One row behind the other; else padded to one length. */
  paddingFree: boolean;
  /** Null: 64 tokens of all rows where `paddingFree`, else 8 of the longest. */
  padToMultipleOf: number | null;
}

/** The collator that a recipe asks for. */
export function collatorOf(
  tokenizer: Pick<PreTrainedTokenizer, "padTokenId">,
  { paddingFree, padToMultipleOf }: BatchSettings,
): DataCollator<Example, TokenBatch> {
  return paddingFree
    ? dataCollatorWithFlattening(tokenizer, { padToMultipleOf: padToMultipleOf ?? 64 })
    : dataCollatorWithPadding(tokenizer, { padToMultipleOf: padToMultipleOf ?? 8 });
}
