import { type DataType, Type, type Vector } from "apache-arrow";

/** A column of one row group: `get(row)` gives a plain JavaScript value. */
export interface Decoded {
  readonly length: number;
  get(row: number): unknown;
}

/**
 * Values of an Arrow vector as JavaScript's own: strings, numbers (64-bit integers too while they are exact, bigints
 * beyond 2^53), booleans, `Uint8Array` for binary, typed arrays for lists of numbers, arrays and objects for the rest.
 */
export function decodeVector(vector: Vector): Decoded {
  const convert = converterFor(vector.type as DataType);
  return {
    length: vector.length,
    get: (row) => {
      const value: unknown = vector.get(row);
      return value === null || value === undefined ? null : convert(value);
    },
  };
}

type Convert = (value: unknown) => unknown;

const same: Convert = (value) => value;

function converterFor(type: DataType): Convert {
  switch (type.typeId) {
    case Type.Int:
      return (type as DataType & { bitWidth: number }).bitWidth === 64 ? exactInteger : same;
    case Type.List:
    case Type.FixedSizeList:
      return listConverter((type as DataType & { valueType: DataType }).valueType);
    case Type.Struct:
      return structConverter(type);
    case Type.Binary:
    case Type.LargeBinary:
      // A copy: the view would keep the whole row group alive.
      return (value) => (value as Uint8Array).slice();
    case Type.Dictionary:
      return converterFor((type as DataType & { dictionary: DataType }).dictionary);
    default:
      return same;
  }
}

function exactInteger(value: unknown): unknown {
  const n = Number(value);
  return Number.isSafeInteger(n) ? n : value;
}

function listConverter(item: DataType): Convert {
  const convertItem = converterFor(item);
  const isWide = item.typeId === Type.Int && (item as DataType & { bitWidth: number }).bitWidth === 64;
  const isNumeric = (item.typeId === Type.Int && !isWide) || item.typeId === Type.Float;
  return (value) => {
    const vector = value as Vector;
    if (isNumeric && vector.nullCount === 0) {
      // A copy: the view would keep the whole row group alive.
      return (vector.toArray() as Float32Array).slice();
    }
    return Array.from(vector, (v: unknown) => (v === null || v === undefined ? null : convertItem(v)));
  };
}

function structConverter(type: DataType): Convert {
  const fields = type.children.map(
    (child: { name: string; type: unknown }) => [child.name, converterFor(child.type as DataType)] as const,
  );
  return (value) => {
    const row = value as Record<string, unknown>;
    return Object.fromEntries(
      fields.map(([name, convert]) => {
        const v = row[name];
        return [name, v === null || v === undefined ? null : convert(v)];
      }),
    );
  };
}

/** A JavaScript value in the form that Arrow's builders want for this type (64-bit integers as bigints). */
export function arrowValue(value: unknown, type: DataType): unknown {
  if (value === null || value === undefined) return null;
  switch (type.typeId) {
    case Type.Int:
      return (type as DataType & { bitWidth: number }).bitWidth === 64
        ? BigInt(value as number | bigint)
        : Number(value);
    case Type.List: {
      const item = (type as DataType & { valueType: DataType }).valueType;
      return Array.from(value as ArrayLike<unknown>, (v) => arrowValue(v, item));
    }
    case Type.Struct: {
      const row = value as Record<string, unknown>;
      return Object.fromEntries(
        type.children.map((child: { name: string; type: unknown }) => [
          child.name,
          arrowValue(row[child.name], child.type as DataType),
        ]),
      );
    }
    default:
      return value;
  }
}
