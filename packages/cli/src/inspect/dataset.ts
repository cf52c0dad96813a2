import {
  ClassLabel,
  type Dataset,
  type Feature,
  Image,
  Sequence,
  tinyImagenetNames,
  Value,
} from "@wgrad/datasets";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import type { InspectFlags } from "../commands/inspect.js";
import { formatStatistics, histogram, type LengthStatistics, lengthStatistics } from "../text/histogram.js";
import { formatTable } from "../text/table.js";
import { openDataset, textColumnOf } from "../training/data.js";
import { formatCount, type Ui } from "../ui.js";
import {
  describeImage,
  formatImageStatistics,
  type ImageStatistics,
  imageColumnOf,
  imageStatistics,
} from "./images.js";

interface SplitReport {
  split: string;
  rows: number;
  labels: Record<string, number> | null;
  characters: LengthStatistics | null;
  tokens: LengthStatistics | null;
  emptyTexts: number;
  images: ImageStatistics | null;
}

/** Splits, features, label counts, lengths of texts, sizes of pictures and examples of a data set. */
export async function inspectDataset(
  path: string,
  flags: InspectFlags,
  ui: Ui,
  tokenizer: PreTrainedTokenizer | null,
): Promise<void> {
  const dict = await openDataset(path, { offline: flags.offline ?? false, ui });
  const splits = flags.split === undefined ? dict.splits : [flags.split];
  const first = dict.get(splits[0]!);
  const features = Object.entries(first.features).map(([name, feature]) => ({
    name,
    feature: describeFeature(feature),
  }));
  ui.result(
    `${path}: ${dict.splits.map((split) => `${split} ${formatCount(dict.get(split).numRows)}`).join(", ")}\n`,
  );
  ui.result(
    formatTable(
      ["column", "feature"],
      features.map(({ name, feature }) => [name, feature]),
      [0, 1],
    ),
  );
  const textColumn = findTextColumn(first, flags);
  const labelColumn = findLabelColumn(first, flags);
  const imageColumn = imageColumnOf(first);
  // What words.txt beside the data calls the classes, where their names are WordNet's numbers.
  const words = imageColumn === null ? new Map<string, string>() : tinyImagenetNames(path);
  const called = (name: string): string => (words.has(name) ? `${name} ${words.get(name)}` : name);
  const reports: SplitReport[] = [];
  for (const split of splits) {
    const rows = dict.get(split);
    const texts =
      textColumn === null
        ? []
        : (Array.from(rows.column(textColumn) as ArrayLike<unknown>).filter(
            (t) => typeof t === "string",
          ) as string[]);
    const characters = texts.map((text) => [...text].length);
    const tokens = tokenizer ? countTokens(texts, tokenizer, ui) : [];
    const report: SplitReport = {
      split,
      rows: rows.numRows,
      labels: labelColumn === null ? null : countLabels(rows, labelColumn),
      characters: characters.length > 0 ? lengthStatistics(characters) : null,
      tokens: tokens.length > 0 ? lengthStatistics(tokens) : null,
      emptyTexts: texts.filter((text) => text.trim() === "").length,
      images: imageColumn === null ? null : lookAtImages(rows, imageColumn, ui),
    };
    reports.push(report);
    ui.result(`\n${split}: ${formatCount(report.rows)} rows`);
    if (report.labels) {
      const parts = Object.entries(report.labels).map(
        ([name, count]) =>
          `${called(name)} ${formatCount(count)} (${((100 * count) / report.rows).toFixed(1)}%)`,
      );
      ui.result(
        `  ${labelColumn}: ${parts.slice(0, 12).join(", ")}${parts.length > 12 ? `, … ${parts.length} in all` : ""}`,
      );
    }
    if (report.images !== null)
      for (const line of formatImageStatistics(imageColumn!, rows.numRows, report.images))
        ui.result(`  ${line}`);
    if (report.characters) ui.result(`  ${textColumn} in characters: ${formatStatistics(report.characters)}`);
    if (report.emptyTexts > 0) ui.result(`  ${report.emptyTexts} texts are empty`);
    if (report.tokens) ui.result(`  ${textColumn} in tokens: ${formatStatistics(report.tokens)}`);
    const drawn = tokens.length > 0 ? tokens : characters;
    if (drawn.length > 0 && split === splits[0])
      for (const line of histogram(drawn)) ui.result(`    ${line}`);
  }
  const shown = first.slice(0, flags.examples);
  if (shown.length > 0) ui.result(`\nFirst rows of ${splits[0]}:`);
  for (const row of shown)
    ui.result(
      Object.entries(row)
        .map(([name, value]) => `  ${name}: ${showValue(value, first.features[name], called)}`)
        .join("\n"),
    );
  const examples = shown.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        first.features[name] instanceof Image ? describeImage(value) : plain(value),
      ]),
    ),
  );
  const classes = labelColumn === null ? undefined : first.features[labelColumn];
  const named = classes instanceof ClassLabel ? classes.names.filter((name) => words.has(name)) : [];
  const names =
    named.length > 0 ? { classNames: Object.fromEntries(named.map((name) => [name, words.get(name)!])) } : {};
  ui.document({ path, features, splits: reports, examples, ...names });
}

/** A feature in few words, such as `ClassLabel(neg, pos)`. */
export function describeFeature(feature: Feature): string {
  if (feature instanceof ClassLabel)
    return `ClassLabel(${feature.names.slice(0, 8).join(", ")}${feature.numClasses > 8 ? `, … ${feature.numClasses} in all` : ""})`;
  if (feature instanceof Value) return feature.dtype;
  if (feature instanceof Sequence) return `list of ${describeFeature(feature.feature)}`;
  return feature.constructor === Object
    ? `struct(${Object.keys(feature).join(", ")})`
    : feature.constructor.name;
}

/** The column of the texts, null if there is none to be sure of. */
function findTextColumn(dataset: Dataset, flags: InspectFlags): string | null {
  if (flags.textColumn !== undefined) return textColumnOf(dataset, flags.textColumn);
  try {
    return textColumnOf(dataset, null);
  } catch {
    return null;
  }
}

function findLabelColumn(dataset: Dataset, flags: InspectFlags): string | null {
  if (flags.labelColumn !== undefined) {
    dataset.feature(flags.labelColumn);
    return flags.labelColumn;
  }
  const names = dataset.columnNames;
  return (
    names.find((name) => dataset.features[name] instanceof ClassLabel) ??
    names.find((name) => name === "label") ??
    null
  );
}

/** Rows of each class, by name. */
export function countLabels(dataset: Dataset, column: string): Record<string, number> {
  const feature = dataset.feature(column);
  const counts: Record<string, number> = {};
  if (feature instanceof ClassLabel) for (const name of feature.names) counts[name] = 0;
  for (const value of Array.from(dataset.column(column) as ArrayLike<unknown>)) {
    const name =
      feature instanceof ClassLabel && Number(value) >= 0 ? feature.int2str(Number(value)) : String(value);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function countTokens(texts: readonly string[], tokenizer: PreTrainedTokenizer, ui: Ui): number[] {
  const progress = ui.progress("Tokenizing", texts.length);
  const counts = texts.map((text, i) => {
    progress.update(i + 1);
    return tokenizer.encode(text).length;
  });
  progress.finish();
  return counts;
}

function lookAtImages(dataset: Dataset, column: string, ui: Ui): ImageStatistics {
  const progress = ui.progress("Reading headers", dataset.numRows);
  const found = imageStatistics(dataset, column, (pictures) => progress.update(pictures));
  progress.finish();
  return found;
}

/** A value in one line, at most 160 characters of it. @param called what a class is called besides its name */
export function showValue(
  value: unknown,
  feature: Feature | undefined,
  called: (name: string) => string = (name) => name,
): string {
  if (feature instanceof ClassLabel && Number(value) >= 0)
    return `${String(value)} (${called(feature.int2str(Number(value)))})`;
  if (feature instanceof Image) {
    const { path, format, width, height, mode, bytes, unreadable } = describeImage(value) ?? {};
    if (format === undefined) return unreadable ? `cannot be read (${String(path)})` : "null";
    return `${String(format)}, ${String(width)} x ${String(height)}, ${String(mode)}, ${formatCount(Number(bytes))} bytes (${String(path ?? "no path")})`;
  }
  const text = typeof value === "string" ? value : JSON.stringify(plain(value));
  return text !== undefined && text.length > 160 ? `${text.slice(0, 160)}…` : String(text);
}

/** The value as JSON has it: no big integers, typed arrays as lists. */
export function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number>);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}
