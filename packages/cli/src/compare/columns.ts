import { nearest } from "@wgrad/tensor";
import { UsageError } from "../errors.js";
import { formatBytes, formatCount, formatSeconds } from "../ui.js";
import type { ComparisonRow } from "./rows.js";

/** A column of the comparison. */
export interface Column {
  /** For `--sort`. */
  readonly name: string;
  readonly heading: string;
  /** Text of a cell; `–` where there is no value. */
  cell(row: ComparisonRow): string;
  /** What it is sorted by. */
  value(row: ComparisonRow): number | string | null;
  /** Which end is best: it comes first when sorted. Words are sorted from A to Z. */
  readonly best: "most" | "least";
  /** Whether the best value stands out. */
  readonly isScore?: boolean;
}

const NONE = "–";

function number(
  name: string,
  key: {
    [K in keyof ComparisonRow]: ComparisonRow[K] extends number | null ? K : never;
  }[keyof ComparisonRow],
  format: (value: number) => string,
  best: "most" | "least",
  isScore = false,
): Column {
  const value = (row: ComparisonRow) => row[key];
  return {
    name,
    heading: name.replaceAll("-", " ").replace("f1", "F1").replace("top5", "top-5"),
    value,
    cell: (row) => {
      const found = value(row);
      return found === null ? NONE : format(found);
    },
    best,
    isScore,
  };
}

const fourPlaces = (value: number) => value.toFixed(4);

/** Every column, in order. */
export const COLUMNS: readonly Column[] = [
  {
    name: "run",
    heading: "run",
    value: (row) => row.name,
    cell: (row) => `${row.name}${row.isInterrupted ? " (not finished)" : ""}`,
    best: "least",
  },
  number("test-accuracy", "test_accuracy", fourPlaces, "most", true),
  number("test-top5", "test_top5_accuracy", fourPlaces, "most", true),
  number("test-f1", "test_f1", fourPlaces, "most", true),
  number("validation-accuracy", "validation_accuracy", fourPlaces, "most", true),
  number("validation-loss", "validation_loss", fourPlaces, "least"),
  {
    name: "best-epoch",
    heading: "best epoch",
    value: (row) => row.best_epoch,
    cell: (row) =>
      row.best_epoch === null
        ? NONE
        : `${Number(row.best_epoch.toFixed(2))} (${row.best_metric} ${row.best_value?.toFixed(4) ?? NONE})`,
    best: "least",
  },
  number("trainable-parameters", "trainable_parameters", formatCount, "least"),
  number("steps", "steps", formatCount, "least"),
  number("training-time", "train_seconds", formatSeconds, "least"),
  number("peak-memory", "peak_memory_bytes", formatBytes, "least"),
  { name: "lab", heading: "lab", value: (row) => row.lab, cell: (row) => row.lab, best: "least" },
  {
    name: "adapter",
    heading: "adapter",
    value: (row) => row.adapter,
    cell: (row) => row.adapter ?? NONE,
    best: "least",
  },
];

/** Columns whose cells are words. */
const WORDS = new Set(["run", "lab", "adapter"]);

/** Whether the cells of a column are words, which stand to the left. */
export function isWords(column: Column): boolean {
  return WORDS.has(column.name);
}

/** The columns in which some row has a value; the adapter's only where it is not {@link sharedAdapter}. */
export function columnsOf(rows: readonly ComparisonRow[]): Column[] {
  const isShared = sharedAdapter(rows) !== null;
  return COLUMNS.filter(
    (column) => rows.some((row) => column.value(row) !== null) && !(isShared && column.name === "adapter"),
  );
}

/** The adapter where all rows that name one have the same: its name is long, so it is said once. Else null. */
export function sharedAdapter(rows: readonly ComparisonRow[]): string | null {
  const adapters = new Set(rows.flatMap(({ adapter }) => adapter ?? []));
  return adapters.size === 1 ? [...adapters][0]! : null;
}

/**
 * Rows sorted by a column, the best first; those without a value come last.
 * @throws UsageError for a column that there is not
 */
export function sorted(rows: readonly ComparisonRow[], by: string): ComparisonRow[] {
  const name = by.toLowerCase().replaceAll("_", "-");
  const column = COLUMNS.find((c) => c.name === name);
  if (!column) {
    const names = COLUMNS.map((c) => c.name);
    throw new UsageError(
      `--sort ${by}: there is no such column. Did you mean ${nearest(name, names)}? Columns: ${names.join(", ")}`,
    );
  }
  const direction = column.best === "most" ? -1 : 1;
  return rows.toSorted((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    const order =
      typeof x === "number" ? x - (y as number) : x.localeCompare(y as string, "en", { numeric: true });
    return direction * order;
  });
}

/** Whether a row has the best value of a column in which rows differ. */
export function isBest(column: Column, row: ComparisonRow, rows: readonly ComparisonRow[]): boolean {
  if (!column.isScore) return false;
  const values = rows.map((other) => column.value(other)).filter((v): v is number => typeof v === "number");
  const best = column.best === "most" ? Math.max(...values) : Math.min(...values);
  return column.value(row) === best && values.some((value) => value !== best);
}
