/** From the texts of a CSV file, and the values of a JSON file, to the values of typed columns. */
import { DatasetError } from "./errors.js";
import { ClassLabel, type Feature, inferFeature, Value } from "./features.js";

/** Where a value stands. */
export interface Place {
  file: string;
  line: number;
}

/** The values of a column with where they stand. */
export interface RawColumn {
  name: string;
  values: unknown[];
  placeOf(row: number): Place;
}

export interface TypedColumn {
  feature: Feature;
  values: unknown[];
}

const INTEGER = /^[+-]?(?:0|[1-9]\d*)$/;
const FLOAT = /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const SPECIAL: Readonly<Record<string, number>> = {
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
};

function parseInteger(text: string): number | undefined {
  const number = INTEGER.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

function parseFloat64(text: string): number | undefined {
  if (FLOAT.test(text)) return Number(text);
  const sign = text.startsWith("-") ? -1 : 1;
  const special = SPECIAL[text.replace(/^[+-]/, "").toLowerCase()];
  return special === undefined ? undefined : sign * special;
}

function parseBoolean(text: string): boolean | undefined {
  if (!/^(?:true|false)$/i.test(text)) return undefined;
  return text.length === 4;
}

type Parse = (text: string) => number | boolean | undefined;

/**
 * The narrowest of int64, float64 and bool that holds every text that is not empty, else string. Whole numbers with a zero in
 * front, or beyond 2^53, stay texts: as numbers they would be others. In a column of numbers an empty text is null.
 */
export function inferTexts(texts: readonly string[]): TypedColumn {
  const kinds: [dtype: string, parse: Parse][] = [
    ["int64", parseInteger],
    ["float64", parseFloat64],
    ["bool", parseBoolean],
  ];
  // The longest number that is written as one has fewer characters.
  const trimmed = texts.every((text) => text.length < 40) ? texts.map((text) => text.trim()) : [];
  if (trimmed.some((text) => text !== "")) {
    for (const [dtype, parse] of kinds) {
      const values: unknown[] = [];
      if (
        dtype === "float64" &&
        trimmed.some((text) => INTEGER.test(text) && parseInteger(text) === undefined)
      )
        continue;
      for (const text of trimmed) {
        const value = text === "" ? null : parse(text);
        if (value === undefined) break;
        values.push(value);
      }
      if (values.length === trimmed.length) return { feature: new Value(dtype), values };
    }
  }
  return { feature: new Value("string"), values: [...texts] };
}

const INTEGER_RANGE: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  int16: [-32768, 32767],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 255],
  uint16: [0, 65535],
  uint32: [0, 2 ** 32 - 1],
  uint64: [0, Number.MAX_SAFE_INTEGER],
};

/**
 * The values of a column as a feature wants them; texts are read as numbers and truth values where it holds such.
 * @throws DatasetError E_VALUE for one that is none, naming file, line and column; E_FEATURE_UNSUPPORTED
 */
export function convertColumn(column: RawColumn, feature: Feature, isText: boolean): TypedColumn {
  const convert = converterOf(feature, isText);
  if (convert === undefined) {
    if (!isText) return { feature, values: column.values };
    throw new DatasetError({
      code: "E_FEATURE_UNSUPPORTED",
      where: `column "${column.name}"`,
      message: "a text file holds no values of this feature.",
      fix: "Use Value (whole numbers, floats, bool, string) or ClassLabel.",
    });
  }
  const values = column.values.map((value, row) => {
    if (value === null || value === undefined) return null;
    const converted = convert(value);
    if (converted !== undefined) return converted;
    const { file, line } = column.placeOf(row);
    const names = feature instanceof ClassLabel ? ` (${feature.names.slice(0, 8).join(", ")})` : "";
    const dtype = feature instanceof Value ? feature.dtype : "ClassLabel";
    const shown = JSON.stringify(value)?.slice(0, 60);
    throw new DatasetError({
      code: "E_VALUE",
      where: `${file}, line ${line}, column "${column.name}"`,
      message: `${shown} is no ${dtype}${names}.`,
      fix: "Correct the value, or give the column another feature.",
      detail: { line, column: column.name, value },
    });
  });
  return { feature, values };
}

/** @returns a function that gives undefined for what does not fit */
function converterOf(feature: Feature, isText: boolean): ((value: unknown) => unknown) | undefined {
  const text = (value: unknown): string | undefined => (typeof value === "string" ? value.trim() : undefined);
  const number = (value: unknown): number | null | undefined => {
    if (typeof value === "number") return value;
    if (!isText) return undefined;
    return text(value) === "" ? null : parseFloat64(text(value)!);
  };
  if (feature instanceof ClassLabel) {
    return (value) => {
      if (typeof value === "string" && feature.names.includes(value)) return feature.names.indexOf(value);
      if (value === "") return -1;
      const label = number(value);
      const isLabel = Number.isInteger(label) && label! >= -1 && label! < feature.numClasses;
      return isLabel ? label : undefined;
    };
  }
  if (!(feature instanceof Value)) return undefined;
  const range = INTEGER_RANGE[feature.dtype];
  if (range) {
    return (value) => {
      const n = number(value);
      return n === null || (Number.isInteger(n) && n! >= range[0] && n! <= range[1]) ? n : undefined;
    };
  }
  if (feature.dtype.startsWith("float")) return number;
  if (/^(large_)?string$/.test(feature.dtype))
    return (value) => (typeof value === "string" ? value : undefined);
  if (feature.dtype === "bool") {
    return (value) => {
      if (typeof value === "boolean") return value;
      if (!isText) return undefined;
      return text(value) === "" ? null : parseBoolean(text(value)!);
    };
  }
  return undefined;
}

/**
 * The feature of values from JSON, all of one kind.
 * @throws DatasetError E_VALUE naming the line of the first that is of another kind than those before
 */
export function inferJson(column: RawColumn): TypedColumn {
  const { name, values, placeOf } = column;
  const kindOf = (value: unknown): string => (Array.isArray(value) ? "list" : typeof value);
  const first = values.findIndex((value) => value !== null);
  if (first >= 0) {
    const kind = kindOf(values[first]);
    const other = values.findIndex((value) => value !== null && kindOf(value) !== kind);
    if (other >= 0) {
      const [a, b] = [placeOf(first), placeOf(other)];
      throw new DatasetError({
        code: "E_VALUE",
        where: `${b.file}, line ${b.line}, column "${name}"`,
        message: `${JSON.stringify(values[other])?.slice(0, 60)} is a ${kindOf(values[other])}, but line ${a.line}${a.file === b.file ? "" : ` of ${a.file}`} has a ${kind}.`,
        fix: "Write all values of a column in one kind.",
        detail: { line: b.line, column: name },
      });
    }
  }
  return { feature: inferFeature(values, name), values };
}
