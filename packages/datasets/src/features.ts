import {
  Binary,
  Bool,
  type DataType,
  Field,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  List,
  Null,
  Schema,
  Struct,
  Type,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from "apache-arrow";
import { DatasetError, nearestName } from "./errors.js";

/** A plain column: `dtype` is Hugging Face's name of an Arrow type ("string", "int64", "float32", "bool", …). */
export class Value {
  readonly dtype: string;
  constructor(dtype: string) {
    this.dtype = dtype;
  }
  toJSON(): object {
    return { dtype: this.dtype, _type: "Value" };
  }
}

/** Whole numbers that stand for class names; stored as int64. -1 means "no label", as in Hugging Face's test splits. */
export class ClassLabel {
  readonly names: readonly string[];
  readonly numClasses: number;
  readonly #numbers: ReadonlyMap<string, number>;

  constructor(names: readonly string[]) {
    this.names = [...names];
    this.numClasses = names.length;
    this.#numbers = new Map(names.map((name, i) => [name, i]));
  }

  /** The name of a class. @throws DatasetError E_LABEL_RANGE */
  int2str(label: number): string {
    const name = this.names[label];
    if (name === undefined) throw labelOutOfRange("ClassLabel.int2str", label, this);
    return name;
  }

  /** The number of a class. @throws DatasetError E_LABEL_UNKNOWN */
  str2int(name: string): number {
    const label = this.#numbers.get(name);
    if (label === undefined) {
      const near = nearestName(name, this.names);
      throw new DatasetError({
        code: "E_LABEL_UNKNOWN",
        where: "ClassLabel.str2int",
        message: `there is no class "${name}".`,
        fix: `${near === undefined ? "" : `Did you mean "${near}"? `}The classes are: ${listNames(this.names)}.`,
        detail: { name, names: this.names },
      });
    }
    return label;
  }

  toJSON(): object {
    return { names: this.names, _type: "ClassLabel" };
  }
}

/** Values that can be names of classes, each once, sorted by code points as Python sorts them. */
export function classNames(values: ArrayLike<unknown>): string[] {
  const names = new Set<string>();
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value !== null && value !== "") names.add(String(value));
  }
  return [...names].sort();
}

/** A list of values of one feature; `length` -1 means that rows differ in length. */
export class Sequence {
  readonly feature: Feature;
  readonly length: number;
  constructor(feature: Feature, length = -1) {
    this.feature = feature;
    this.length = length;
  }
  toJSON(): object {
    return { feature: featureToJSON(this.feature), length: this.length, _type: "Sequence" };
  }
}

/** Encoded pictures: rows hold `{ bytes, path }` ({@link EncodedImage}), as in the file. */
export class Image {
  toJSON(): object {
    return { _type: "Image" };
  }
}

/** A feature that this package does not interpret; kept so that it is written back as it was read. */
export class OtherFeature {
  readonly json: Readonly<Record<string, unknown>>;
  readonly arrowType: DataType;
  constructor(json: Readonly<Record<string, unknown>>, arrowType: DataType) {
    this.json = json;
    this.arrowType = arrowType;
  }
  toJSON(): object {
    return this.json;
  }
}

/** What a column holds; a plain object is a struct of named features. */
export type Feature =
  | Value
  | ClassLabel
  | Sequence
  | Image
  | OtherFeature
  | { readonly [name: string]: Feature };

/** The columns of a data set by name, in order. */
export type Features = { readonly [column: string]: Feature };

/** True for a struct of features rather than a single one. */
export function isStructFeature(feature: Feature): feature is { readonly [name: string]: Feature } {
  return !(
    feature instanceof Value ||
    feature instanceof ClassLabel ||
    feature instanceof Sequence ||
    feature instanceof Image ||
    feature instanceof OtherFeature
  );
}

/** The error for a label that its ClassLabel does not have. */
export function labelOutOfRange(
  where: string,
  label: unknown,
  feature: ClassLabel,
  row?: number,
): DatasetError {
  const place = row === undefined ? "" : ` in row ${row}`;
  return new DatasetError({
    code: "E_LABEL_RANGE",
    where,
    message: `label ${String(label)}${place} is outside 0 … ${feature.numClasses - 1} (${listNames(feature.names)}).`,
    fix: "Correct the label, or list every class in the ClassLabel's names.",
    detail: { label, row, numClasses: feature.numClasses },
  });
}

function listNames(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(", ");
  return names.length > 8 ? `${shown}, … ${names.length} in all` : shown;
}

function featureToJSON(feature: Feature): unknown {
  if (!isStructFeature(feature)) return feature.toJSON();
  return Object.fromEntries(Object.entries(feature).map(([name, child]) => [name, featureToJSON(child)]));
}

/** The text of the `huggingface` key: what Python's `datasets` reads the features back from. */
export function featuresToMetadata(features: Features): string {
  return JSON.stringify({ info: { features: featureToJSON(features) } });
}

/**
 * Features of a file: those of its `huggingface` metadata where a column has one, else from the Arrow types.
 * Metadata that is not JSON, or speaks of columns that the file does not have, is passed over.
 */
export function featuresFromSchema(schema: Schema, metadata: string | undefined): Record<string, Feature> {
  const declared = parseMetadata(metadata);
  return Object.fromEntries(
    schema.fields.map((field) => [field.name, featureFromJSON(declared[field.name], field.type as DataType)]),
  );
}

function parseMetadata(metadata: string | undefined): Record<string, unknown> {
  if (metadata === undefined) return {};
  try {
    const parsed = JSON.parse(metadata) as { info?: { features?: Record<string, unknown> } };
    return parsed.info?.features ?? {};
  } catch {
    return {};
  }
}

function featureFromJSON(json: unknown, arrowType: DataType): Feature {
  if (Array.isArray(json) && isList(arrowType)) {
    return new Sequence(featureFromJSON(json[0], listItem(arrowType)));
  }
  if (typeof json !== "object" || json === null) return featureFromArrow(arrowType);
  const declared = json as Record<string, unknown>;
  const kind = declared._type;
  if (typeof kind !== "string") {
    if (arrowType.typeId !== Type.Struct) return featureFromArrow(arrowType);
    return structFeature(arrowType, declared);
  }
  if (kind === "Value" && typeof declared.dtype === "string") return new Value(declared.dtype);
  if (kind === "ClassLabel" && Array.isArray(declared.names))
    return new ClassLabel(declared.names.map(String));
  if (kind === "Image") return new Image();
  if ((kind === "Sequence" || kind === "List" || kind === "LargeList") && isList(arrowType)) {
    const length = typeof declared.length === "number" ? declared.length : -1;
    return new Sequence(featureFromJSON(declared.feature, listItem(arrowType)), length);
  }
  return new OtherFeature(declared, arrowType);
}

function isList(type: DataType): boolean {
  return type.typeId === Type.List || type.typeId === Type.FixedSizeList;
}

function listItem(type: DataType): DataType {
  return (type as List).valueType as DataType;
}

function structFeature(type: DataType, declared: Record<string, unknown>): Feature {
  const children = (type as Struct).children;
  return Object.fromEntries(
    children.map((child) => [child.name, featureFromJSON(declared[child.name], child.type as DataType)]),
  );
}

function featureFromArrow(type: DataType): Feature {
  if (isList(type)) return new Sequence(featureFromArrow(listItem(type)));
  if (type.typeId === Type.Struct) return structFeature(type, {});
  const dtype = DTYPE_OF_ARROW[type.toString()];
  return dtype === undefined
    ? new OtherFeature({ dtype: type.toString(), _type: "Value" }, type)
    : new Value(dtype);
}

const ARROW_OF_DTYPE: Readonly<Record<string, () => DataType>> = {
  null: () => new Null(),
  bool: () => new Bool(),
  int8: () => new Int8(),
  int16: () => new Int16(),
  int32: () => new Int32(),
  int64: () => new Int64(),
  uint8: () => new Uint8(),
  uint16: () => new Uint16(),
  uint32: () => new Uint32(),
  uint64: () => new Uint64(),
  float32: () => new Float32(),
  float64: () => new Float64(),
  string: () => new Utf8(),
  large_string: () => new Utf8(),
  binary: () => new Binary(),
  large_binary: () => new Binary(),
};

const DTYPE_OF_ARROW: Readonly<Record<string, string>> = {
  Null: "null",
  Bool: "bool",
  Int8: "int8",
  Int16: "int16",
  Int32: "int32",
  Int64: "int64",
  Uint8: "uint8",
  Uint16: "uint16",
  Uint32: "uint32",
  Uint64: "uint64",
  Float32: "float32",
  Float64: "float64",
  Utf8: "string",
  LargeUtf8: "string",
  Utf8View: "string",
  Binary: "binary",
  LargeBinary: "binary",
  BinaryView: "binary",
};

/** The Arrow type a feature is written as. @throws DatasetError E_FEATURE_UNSUPPORTED */
export function arrowTypeOf(feature: Feature, column: string): DataType {
  if (feature instanceof ClassLabel) return new Int64();
  if (feature instanceof Image) {
    return new Struct([new Field("bytes", new Binary(), true), new Field("path", new Utf8(), true)]);
  }
  if (feature instanceof Sequence) {
    return new List(new Field("element", arrowTypeOf(feature.feature, column), true));
  }
  if (feature instanceof OtherFeature) return feature.arrowType;
  if (feature instanceof Value) {
    const make = ARROW_OF_DTYPE[feature.dtype];
    if (make !== undefined) return make();
    throw new DatasetError({
      code: "E_FEATURE_UNSUPPORTED",
      where: `column "${column}"`,
      message: `values of type "${feature.dtype}" cannot be written.`,
      fix: `Types that can: ${Object.keys(ARROW_OF_DTYPE).join(", ")}.`,
      detail: { dtype: feature.dtype },
    });
  }
  return new Struct(
    Object.entries(feature).map(([name, child]) => new Field(name, arrowTypeOf(child, column), true)),
  );
}

/** The Arrow schema of these features. */
export function arrowSchemaOf(features: Features): Schema {
  const fields = Object.entries(features).map(([name, f]) => new Field(name, arrowTypeOf(f, name), true));
  return new Schema(fields, new Map([["huggingface", featuresToMetadata(features)]]));
}

/**
 * The feature that holds these values: whole numbers are int64, other numbers float64, typed arrays sequences of
 * their own type, plain objects structs. The first value that is not null decides, except that one fraction makes a
 * column of numbers float64.
 */
export function inferFeature(values: ArrayLike<unknown>, column: string): Feature {
  let sample: unknown;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === null || value === undefined) continue;
    sample ??= value;
    if (typeof sample !== "number") break;
    if (typeof value === "number" && !Number.isInteger(value)) return new Value("float64");
  }
  switch (typeof sample) {
    case "undefined":
      return new Value("null");
    case "string":
      return new Value("string");
    case "boolean":
      return new Value("bool");
    case "number":
    case "bigint":
      return new Value("int64");
    case "object":
      return inferObject(sample as object, values, column);
    default:
      throw new DatasetError({
        code: "E_FEATURE_UNSUPPORTED",
        where: `column "${column}"`,
        message: `a ${typeof sample} cannot be stored in a data set.`,
        fix: "Use strings, numbers, booleans, typed arrays, arrays or plain objects.",
      });
  }
}

function inferObject(sample: object, values: ArrayLike<unknown>, column: string): Feature {
  // One-byte arrays are taken for encoded bytes (pictures, sound), as in Hugging Face's `{ bytes, path }` structs.
  if (sample instanceof Uint8Array) return new Value("binary");
  if (ArrayBuffer.isView(sample)) {
    const dtype = DTYPE_OF_TYPED_ARRAY[sample.constructor.name];
    if (dtype !== undefined) return new Sequence(new Value(dtype));
  }
  if (Array.isArray(sample)) {
    const items: unknown[] = [];
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (Array.isArray(value)) for (const item of value) items.push(item);
    }
    return new Sequence(inferFeature(items, column));
  }
  return Object.fromEntries(
    Object.keys(sample).map((key) => {
      const children = Array.from(values, (v) => (v as Record<string, unknown> | null | undefined)?.[key]);
      return [key, inferFeature(children, `${column}.${key}`)];
    }),
  );
}

const DTYPE_OF_TYPED_ARRAY: Readonly<Record<string, string>> = {
  Int8Array: "int8",
  Int16Array: "int16",
  Int32Array: "int32",
  Uint16Array: "uint16",
  Uint32Array: "uint32",
  Float32Array: "float32",
  Float64Array: "float64",
  BigInt64Array: "int64",
  BigUint64Array: "uint64",
};
