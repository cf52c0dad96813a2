import type { ColumnValues } from "./dataset.js";
import { ClassLabel, type Feature, inferFeature, labelOutOfRange, Value } from "./features.js";

const PACKED: Readonly<Record<string, (values: number[]) => ColumnValues>> = {
  int8: Int8Array.from.bind(Int8Array),
  int16: Int16Array.from.bind(Int16Array),
  int32: Int32Array.from.bind(Int32Array),
  uint8: Uint8Array.from.bind(Uint8Array),
  uint16: Uint16Array.from.bind(Uint16Array),
  uint32: Uint32Array.from.bind(Uint32Array),
  float16: Float32Array.from.bind(Float32Array),
  float32: Float32Array.from.bind(Float32Array),
  float64: Float64Array.from.bind(Float64Array),
};

/** Values of a column as the typed array that its feature calls for; as they are if one is null or none fits. */
export function packColumn(values: unknown[], feature: Feature): ColumnValues {
  if (!(feature instanceof ClassLabel) && !(feature instanceof Value)) return values;
  if (values.some((v) => v === null)) return values;
  if (feature instanceof ClassLabel) return Int32Array.from(values as number[]);
  if (feature.dtype === "int64" || feature.dtype === "uint64") {
    if (!values.some((v) => typeof v === "bigint")) return Float64Array.from(values as number[]);
    const wide = values.map((v) => BigInt(v as number | bigint));
    return feature.dtype === "int64" ? BigInt64Array.from(wide) : BigUint64Array.from(wide);
  }
  const pack = PACKED[feature.dtype];
  return pack === undefined ? values : pack(values as number[]);
}

/** A column that `map` wrote anew keeps its feature while its values still fit it. */
export function keptFeature(before: Feature | undefined, values: unknown[], column: string): Feature {
  const inferred = inferFeature(values, column);
  if (before === undefined) return inferred;
  const isWhole = inferred instanceof Value && inferred.dtype === "int64";
  if (before instanceof ClassLabel && isWhole) return before;
  if (before instanceof Value && inferred instanceof Value) {
    const isInteger = /^u?int\d+$/.test(before.dtype);
    const isFloat = before.dtype.startsWith("float");
    if (isWhole && (isInteger || isFloat)) return before;
    if (inferred.dtype === "float64" && isFloat) return before;
  }
  return inferred;
}

/** @throws DatasetError E_LABEL_RANGE if a ClassLabel does not have one of these values */
export function checkLabels(where: string, feature: Feature, values: ArrayLike<unknown>): void {
  if (!(feature instanceof ClassLabel)) return;
  for (let row = 0; row < values.length; row++) {
    const label = values[row];
    if (label === null || label === undefined) continue;
    if (!Number.isInteger(label) || (label as number) < -1 || (label as number) >= feature.numClasses) {
      throw labelOutOfRange(where, label, feature, row);
    }
  }
}
