import { convertColumn, inferJson, type Place } from "./convert-values.js";
import type { Table } from "./csv-file.js";
import { DatasetError, unknownColumn } from "./errors.js";
import type { Features } from "./features.js";
import { readTextBytes } from "./text-file.js";

/** Options of reading JSON. */
export interface JsonOptions {
  /** What error messages call the data set; default: its first file. */
  name?: string;
  /** What columns hold; those not named are found from their values. */
  features?: Features;
}

/**
 * Reads JSON lines (one object a line), or files that are one list of objects, one after another. A key that an object lacks is
 * null in its row.
 * @param features what columns hold, each of which must be there
 * @param hints the same for columns that may be missing
 * @throws DatasetError E_JSON and E_VALUE naming file, line and column; E_ENCODING, E_FILE_NOT_FOUND
 */
export function readJsonFiles(
  paths: readonly string[],
  features: Features = {},
  hints: Features = {},
): Table {
  const columns = new Map<string, unknown[]>();
  const starts: number[] = [];
  const lines: number[] = [];
  const add = (row: Readonly<Record<string, unknown>>, line: number): void => {
    const index = lines.length;
    lines.push(line);
    for (const key of Object.keys(row)) {
      let values = columns.get(key);
      if (values === undefined) {
        values = new Array(index).fill(null);
        columns.set(key, values);
      }
      // Filled up here and not row by row, so that a rare key costs only what it holds.
      while (values.length < index) values.push(null);
      values[index] = row[key] ?? null;
    }
  };
  for (const path of paths) {
    starts.push(lines.length);
    readOne(path, add);
  }
  const placeOf = (row: number): Place => {
    const file = starts.findLastIndex((start) => start <= row);
    return { file: paths[file]!, line: lines[row]! };
  };
  for (const name of Object.keys(features)) {
    if (!columns.has(name)) throw unknownColumn(paths[0]!, name, [...columns.keys()]);
  }
  const table: Table = { columns: {}, features: {} };
  for (const [name, values] of columns) {
    while (values.length < lines.length) values.push(null);
    const wanted = features[name] ?? hints[name];
    const raw = { name, values, placeOf };
    const typed = wanted ? convertColumn(raw, wanted, false) : inferJson(raw);
    table.columns[name] = typed.values;
    table.features[name] = typed.feature;
  }
  return table;
}

function readOne(path: string, add: (row: Record<string, unknown>, line: number) => void): void {
  const bytes = readTextBytes(path);
  if (isList(bytes)) {
    const list = parseJson(path, bytes.toString("utf8"), 1) as unknown[];
    // Lines inside a list are not known; the number of the object stands in their place.
    for (const [i, row] of list.entries()) add(expectObject(path, row, i + 1), i + 1);
    return;
  }
  let line = 0;
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(10, start);
    const end = found < 0 ? bytes.length : found;
    const text = bytes.toString("utf8", start, end);
    start = end + 1;
    line++;
    if (text.trim() !== "") add(expectObject(path, parseJson(path, text, line), line), line);
  }
}

function isList(bytes: Buffer): boolean {
  for (const byte of bytes) {
    if (byte === 0x5b) return true;
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return false;
  }
  return false;
}

function parseJson(path: string, text: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { message } = cause as SyntaxError;
    const position = Number(/position (\d+)/.exec(message)?.[1] ?? text.trimEnd().length);
    const before = text.slice(0, position).split("\n");
    const at = line + before.length - 1;
    const column = before.at(-1)!.length + 1;
    throw new DatasetError({
      code: "E_JSON",
      where: `${path}, line ${at}, column ${column}`,
      message: `not JSON (${message.replace(/ in JSON at position.*| \(line.*/s, "").slice(0, 120)}).`,
      fix: 'Write one object a line, such as {"text": "a fine film", "label": 1}.',
      detail: { line: at, column },
      cause,
    });
  }
}

function expectObject(path: string, value: unknown, line: number): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new DatasetError({
    code: "E_JSON",
    where: `${path}, line ${line}`,
    message: `${JSON.stringify(value).slice(0, 60)} is no object.`,
    fix: 'Write one object a line, such as {"text": "a fine film", "label": 1}.',
    detail: { line },
  });
}
