/** What a data set is like: splits, features, classes, lengths. */
import type { Dataset, DatasetDict } from "@wgrad/datasets";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { countLabels, describeFeature, plain, showValue } from "../../inspect/dataset.js";
import { formatLength, histogram, type LengthStatistics, lengthStatistics } from "../../text/histogram.js";
import { formatTable } from "../../text/table.js";
import { formatCount, type Ui } from "../../ui.js";

/** What {@link exploreData} is told. */
export interface DataQuestion {
  /** The splits, in order; each with as many rows as are to be looked at. */
  splits: readonly (readonly [name: string, rows: Dataset])[];
  textColumn: string;
  /** Null where the texts have no classes. */
  labelColumn: string | null;
  tokenizer: PreTrainedTokenizer;
  /** Tokens at which a text would be cut. */
  maxLength: number;
  /** Rows to show. */
  examples: number;
}

/** Lengths of the texts of a split, and how many would be cut. */
interface Lengths {
  characters: LengthStatistics | null;
  tokens: LengthStatistics | null;
  /** Share of the texts that have more tokens than are kept. */
  cut: number;
}

/** What there is to see in a split. */
export interface SplitView extends Lengths {
  split: string;
  rows: number;
  labels: Record<string, number> | null;
}

/**
 * Prints what the splits hold, and gives it back for `--json`.
 * @param print takes one part of the text after the other
 */
export function exploreData(question: DataQuestion, print: (text: string) => void, ui: Ui) {
  const { splits, labelColumn, textColumn, maxLength } = question;
  const [firstName, first] = splits[0]!;
  const features = Object.entries(first.features).map(([name, feature]) => ({
    name,
    feature: describeFeature(feature),
  }));
  const views: SplitView[] = [];
  let tokensOfFirst: readonly number[] = [];
  for (const [split, rows] of splits) {
    const { tokenCounts, ...lengths } = lengthsOf(rows, question, ui);
    if (split === firstName) tokensOfFirst = tokenCounts;
    const labels =
      labelColumn !== null && rows.columnNames.includes(labelColumn) ? countLabels(rows, labelColumn) : null;
    views.push({ split, rows: rows.numRows, labels, ...lengths });
  }
  const classes = [...new Set(views.flatMap(({ labels }) => Object.keys(labels ?? {})))];
  const shownClasses = classes.slice(0, 8);
  print(
    formatTable(
      ["split", "rows", ...shownClasses],
      views.map(({ split, rows, labels }) => [
        split,
        formatCount(rows),
        ...shownClasses.map((name) => (labels ? formatCount(labels[name] ?? 0) : "–")),
      ]),
    ),
  );
  if (classes.length > shownClasses.length) print(`… ${classes.length} classes in all`);
  print(
    `\n${formatTable(
      ["column", "feature"],
      features.map(({ name, feature }) => [name, feature]),
      [0, 1],
    )}`,
  );
  const rows = first.slice(0, question.examples);
  if (rows.length > 0) print(`\nFirst rows of ${firstName}:`);
  for (const row of rows) {
    const cells = Object.entries(row).map(
      ([name, value]) => `${name}: ${showValue(value, first.features[name])}`,
    );
    print(`  ${cells.join("\n    ")}`);
  }
  print(`\nLength of ${textColumn}:\n${formatLengths(views, maxLength)}`);
  const drawn = tokensOfFirst.length > 0 ? histogram(tokensOfFirst, 12) : [];
  if (drawn.length > 0)
    print(`\nTokens of a text in ${firstName}:\n${drawn.map((line) => `  ${line}`).join("\n")}`);
  return {
    features,
    splits: views,
    max_length: maxLength,
    examples: rows.map(plain),
    histogram: countsByLength(tokensOfFirst),
  };
}

function lengthsOf(
  rows: Dataset,
  { textColumn, tokenizer, maxLength }: DataQuestion,
  ui: Ui,
): Lengths & { tokenCounts: number[] } {
  const texts = (Array.from(rows.column(textColumn) as ArrayLike<unknown>) as (string | null)[]).filter(
    (text): text is string => typeof text === "string",
  );
  if (texts.length === 0) return { characters: null, tokens: null, cut: 0, tokenCounts: [] };
  const progress = ui.progress(`Tokenizing ${texts.length} texts`, texts.length);
  const tokenCounts = texts.map((text, i) => {
    progress.update(i + 1);
    return tokenizer.encode(text, { truncation: false }).length;
  });
  progress.finish();
  return {
    characters: lengthStatistics(texts.map((text) => [...text].length)),
    tokens: lengthStatistics(tokenCounts),
    cut: tokenCounts.filter((count) => count > maxLength).length / texts.length,
    tokenCounts,
  };
}

function formatLengths(views: readonly SplitView[], maxLength: number): string {
  const line = (split: string, unit: string, s: LengthStatistics, cut: string) => [
    split,
    unit,
    String(s.min),
    s.mean.toFixed(1),
    ...[s.median, s.p95, s.p99].map(formatLength),
    String(s.max),
    cut,
  ];
  const rows = views.flatMap(({ split, characters, tokens, cut }) => [
    ...(characters ? [line(split, "characters", characters, "")] : []),
    ...(tokens ? [line("", "tokens", tokens, `${(100 * cut).toFixed(2)}%`)] : []),
  ]);
  return formatTable(
    ["split", "in", "min", "mean", "median", "p95", "p99", "max", `over ${maxLength}`],
    rows,
    [0, 1],
  );
}

/** Number of texts of each length, by length. */
function countsByLength(lengths: readonly number[]): Record<string, number> {
  const counts = new Map<number, number>();
  for (const length of lengths) counts.set(length, (counts.get(length) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a], [b]) => a - b));
}

/** The splits of a data set, each cut down to a subset where that was asked for. */
export function splitsOf(dict: DatasetDict, take: (split: string) => Dataset): [string, Dataset][] {
  return dict.splits.map((split) => [split, take(split)]);
}
