import { CsvError, type Info, parse } from "csv-parse/sync";
import { convertColumn, inferTexts, type Place } from "./convert-values.js";
import { DatasetError, unknownColumn } from "./errors.js";
import type { Feature, Features } from "./features.js";
import { readTextBytes } from "./text-file.js";

/** Options of reading CSV. */
export interface CsvOptions {
  /** What error messages call the data set; default: its first file. */
  name?: string;
  /** What columns hold; those not named are found from their values. */
  features?: Features;
  /** One character between fields. Default: a tab for `.tsv`; else a comma, or the semicolon or tab of a header that has no comma. */
  delimiter?: string;
  /** Names of the columns of files that have no header. */
  columnNames?: readonly string[];
}

/** A table whose values are in memory. */
export interface Table {
  columns: Record<string, unknown[]>;
  features: Record<string, Feature>;
}

/**
 * Reads CSV files (RFC 4180: fields in quotes may hold delimiters, line breaks and doubled quotes), one after another.
 * @param features what columns hold, each of which must be there
 * @param hints the same for columns that may be missing
 * @throws DatasetError E_CSV and E_VALUE naming file, line and column; E_SCHEMA_MISMATCH, E_ENCODING, E_FILE_NOT_FOUND
 */
export function readCsvFiles(
  paths: readonly string[],
  features: Features = {},
  hints: Features = {},
  options: Omit<CsvOptions, "features" | "name"> = {},
): Table {
  let names: readonly string[] | undefined;
  let texts: string[][] = [];
  const starts: number[] = [];
  const lines: number[] = [];
  for (const path of paths) {
    starts.push(lines.length);
    const file = readOne(path, options, lines);
    if (names === undefined) {
      names = file.names;
      texts = names.map(() => []);
    }
    const order = columnOrder(paths[0]!, names, path, file.names);
    for (const [i, from] of order.entries()) {
      const column = texts[i]!;
      for (const text of file.texts[from]!) column.push(text);
    }
  }
  names ??= [];
  for (const name of Object.keys(features)) {
    if (!names.includes(name)) throw unknownColumn(paths[0]!, name, names);
  }
  const placeOf = (row: number): Place => {
    const file = starts.findLastIndex((start) => start <= row);
    return { file: paths[file]!, line: lines[row]! };
  };
  const table: Table = { columns: {}, features: {} };
  for (const [i, name] of names.entries()) {
    const wanted = features[name] ?? hints[name];
    const raw = { name, values: texts[i]!, placeOf };
    const { feature, values } = wanted ? convertColumn(raw, wanted, true) : inferTexts(texts[i]!);
    table.columns[name] = values;
    table.features[name] = feature;
  }
  return table;
}

interface CsvTexts {
  names: readonly string[];
  /** By column. */
  texts: string[][];
}

/** @param lines gets the line on which each row begins */
function readOne(path: string, options: Omit<CsvOptions, "features" | "name">, lines: number[]): CsvTexts {
  const bytes = readTextBytes(path);
  const delimiter = options.delimiter ?? delimiterOf(path, bytes);
  let names: readonly string[] | undefined = options.columnNames;
  let texts: string[][] = (names ?? []).map(() => []);
  let begin = 1;
  let empty = 0;
  const onRecord = (fields: string[], info: Info): undefined => {
    const line = begin + (info.empty_lines - empty);
    begin = info.lines + 1;
    empty = info.empty_lines;
    if (names === undefined) {
      names = headerOf(path, fields);
      texts = names.map(() => []);
      return;
    }
    if (fields.length !== names.length) throw wrongCount(path, line, fields.length, names, delimiter);
    lines.push(line);
    for (const [i, field] of fields.entries()) texts[i]!.push(field);
  };
  try {
    parse(bytes, {
      delimiter,
      record_delimiter: ["\r\n", "\n"],
      skip_empty_lines: true,
      relax_column_count: true,
      on_record: onRecord,
    });
  } catch (error) {
    throw error instanceof CsvError ? explain(path, error, begin, names) : error;
  }
  if (names === undefined) {
    throw new DatasetError({
      code: "E_CSV",
      where: path,
      message: "the file is empty: it has not even a header.",
      fix: "Write the names of the columns into its first line.",
    });
  }
  return { names, texts };
}

function delimiterOf(path: string, bytes: Buffer): string {
  if (/\.tsv(\.gz)?$/i.test(path)) return "\t";
  const end = bytes.indexOf(10);
  const header = bytes.toString("utf8", 0, end < 0 ? Math.min(bytes.length, 4096) : end);
  if (header.includes(",")) return ",";
  return header.includes(";") ? ";" : header.includes("\t") ? "\t" : ",";
}

function headerOf(path: string, fields: readonly string[]): string[] {
  // Without a name, as the index that pandas writes; pandas reads it under this one.
  const names = fields.map((field, i) => field.trim() || `Unnamed: ${i}`);
  const twice = names.findIndex((name, i) => names.indexOf(name) < i);
  if (twice < 0) return names;
  throw new DatasetError({
    code: "E_CSV",
    where: `${path}, line 1`,
    message: `columns ${names.indexOf(names[twice]!) + 1} and ${twice + 1} are both called "${names[twice]}".`,
    fix: "Give each column a name of its own; a file without a header needs columnNames.",
    detail: { line: 1, columns: names },
  });
}

function wrongCount(
  path: string,
  line: number,
  found: number,
  names: readonly string[],
  delimiter: string,
): DatasetError {
  const shown = { "\t": "tab", ",": "comma", ";": "semicolon" }[delimiter] ?? `"${delimiter}"`;
  return new DatasetError({
    code: "E_CSV",
    where: `${path}, line ${line}`,
    message: `the row has ${found} ${found === 1 ? "field" : "fields"}, the header ${names.length} (${names.join(", ")}).`,
    fix: `A text with a ${shown}, a quote or a line break in it stands in "quotes", and a quote in it is doubled.`,
    detail: { line, fields: found, columns: names },
  });
}

/** @param begin the line on which the record at fault begins */
function explain(
  path: string,
  error: CsvError,
  begin: number,
  names: readonly string[] | undefined,
): DatasetError {
  const { column, lines } = error as unknown as { column?: number; lines?: number };
  const name = typeof column === "number" ? names?.[column] : undefined;
  const field = typeof column === "number" ? `, column ${name === undefined ? column + 1 : `"${name}"`}` : "";
  const isOpen = error.code === "CSV_QUOTE_NOT_CLOSED";
  const line = isOpen ? begin : (lines ?? begin);
  const what: Record<string, string> = {
    CSV_QUOTE_NOT_CLOSED: "a quote is opened and never closed.",
    CSV_INVALID_CLOSING_QUOTE: "behind a closing quote comes something else than the end of the field.",
    INVALID_OPENING_QUOTE: "a quote stands inside a field that does not begin with one.",
  };
  return new DatasetError({
    code: "E_CSV",
    where: `${path}, line ${line}${field}`,
    message: what[error.code] ?? error.message,
    fix: 'A field with quotes in it stands in "quotes", and each quote in it is doubled: "a ""good"" film".',
    detail: { line, column: name ?? column, reason: error.code },
    cause: error,
  });
}

/** For each column of the first file, its place in another. */
function columnOrder(
  first: string,
  names: readonly string[],
  path: string,
  found: readonly string[],
): readonly number[] {
  const order = names.map((name) => found.indexOf(name));
  if (!order.includes(-1) && found.length === names.length) return order;
  throw new DatasetError({
    code: "E_SCHEMA_MISMATCH",
    where: path,
    message: `its columns are ${found.join(", ")}; those of ${first} are ${names.join(", ")}.`,
    fix: "Files of one split must have the same columns: load them as splits of their own, or write them again.",
    detail: { expected: names, found },
  });
}
