import { memoryColumn, type View } from "./column.js";
import { type CsvOptions, readCsvFiles, type Table } from "./csv-file.js";
import { DatasetDict } from "./dataset-dict.js";
import { badArgument, checkSeed, DatasetError, unknownColumn } from "./errors.js";
import {
  ClassLabel,
  classNames,
  type Feature,
  type Features,
  Image,
  inferFeature,
  Value,
} from "./features.js";
import { type JsonOptions, readJsonFiles } from "./json-file.js";
import { checkLabels, keptFeature, packColumn } from "./pack-column.js";
import { ParquetSource, type ReadStatistics } from "./parquet-source.js";
import { permutation, range } from "./random.js";
import { splitRows, stratifiedSplitRows } from "./split-rows.js";
import { writeParquetFile } from "./write-parquet.js";

/** A row whose columns are not known to the compiler. */
export type Row = Record<string, unknown>;

/** All values of a column: a typed array where the type has one and no value is null, else an array. */
export type ColumnValues =
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | unknown[];

/** Rows column by column. */
export type Batch = Record<string, ColumnValues>;

/** Options of {@link Dataset.fromParquet}. */
export interface ParquetOptions {
  /** What error messages call the data set; default: its first file. */
  name?: string;
  /** Decoded values that may stay in memory, in bytes; default 64 MiB. At least one row group's column always stays. */
  cacheBytes?: number;
}

/** Options of {@link Dataset.map}. */
export interface MapOptions {
  /** Columns to leave out of the result. */
  removeColumns?: readonly string[];
  /** Features of the new columns; default: found from their values. */
  features?: Features;
}

/** Options of {@link Dataset.map} over batches. */
export interface BatchedMapOptions extends MapOptions {
  batched: true;
  /** Rows a call; default 1000, as in Hugging Face. */
  batchSize?: number;
}

/** Options of {@link Dataset.trainTestSplit}. */
export interface SplitOptions {
  /** Rows of the test split: a share (0 < x < 1, rounded up) or a number of rows. Default 0.25. */
  testSize?: number;
  /** Mixes the rows before cutting; default true. */
  shuffle?: boolean;
  /** Default: drawn at random. */
  seed?: number;
  /** A column whose values both splits get in equal proportion. */
  stratifyByColumn?: string;
}

/** Options of {@link Dataset.toParquet}. */
export interface ToParquetOptions {
  /** Rows of a row group, which is what a reader has to decode at once; default 1000, with pictures 100. */
  rowGroupSize?: number;
}

/**
 * A table of rows with named, typed columns. Selecting, shuffling, splitting, renaming and removing make a new view of
 * the same values; nothing is read or copied until rows are asked for.
 */
export class Dataset<R extends object = Row> implements Iterable<R> {
  readonly numRows: number;
  readonly features: Features;
  /** What error messages call it: a file or a split. */
  readonly name: string;
  readonly #views: ReadonlyMap<string, View>;
  readonly #source: ParquetSource | undefined;

  private constructor(
    views: ReadonlyMap<string, View>,
    features: Features,
    numRows: number,
    name: string,
    source: ParquetSource | undefined,
  ) {
    this.#views = views;
    this.features = features;
    this.numRows = numRows;
    this.name = name;
    this.#source = source;
  }

  /**
   * One split from its Parquet files, one after another. Features come from the `huggingface` key of the schema
   * metadata, else from the Arrow types. Rows are read lazily, a column of a row group at a time.
   * @throws DatasetError E_FILE_NOT_FOUND, E_NOT_PARQUET, E_PARQUET_TRUNCATED, E_PARQUET_CORRUPT, E_SCHEMA_MISMATCH; and
   *   when rows are read, E_PARQUET_CORRUPT, E_FILE_CHANGED, E_LABEL_RANGE
   */
  static fromParquet<R extends object = Row>(
    files: string | readonly string[],
    options: ParquetOptions = {},
  ): Dataset<R> {
    const paths = typeof files === "string" ? [files] : files;
    const source = new ParquetSource(paths, options.cacheBytes);
    const views = new Map(
      Object.keys(source.features).map((name) => [name, { column: source.column(name) }]),
    );
    return new Dataset<R>(views, source.features, source.numRows, options.name ?? paths[0]!, source);
  }

  /**
   * One split from its CSV files, one after another, each with a header. Values are read at once and kept in memory; columns are
   * int64, float64, bool or string, as all their values allow, unless `features` says otherwise. An empty field is null, in
   * a column of texts an empty text.
   * @throws DatasetError E_CSV and E_VALUE naming file, line and column; E_ENCODING, E_FILE_NOT_FOUND, E_FILE_READ, E_SCHEMA_MISMATCH
   */
  static fromCsv<R extends object = Row>(
    files: string | readonly string[],
    options: CsvOptions = {},
  ): Dataset<R> {
    const paths = typeof files === "string" ? [files] : files;
    return Dataset.#fromTable(readCsvFiles(paths, options.features, {}, options), options.name ?? paths[0]!);
  }

  /**
   * One split from its JSON-lines files (one object a line) or files that are one list of objects. Values are read at once and
   * kept in memory. A key that an object lacks is null.
   * @throws DatasetError E_JSON and E_VALUE naming file, line and column; E_ENCODING, E_FILE_NOT_FOUND, E_FILE_READ
   */
  static fromJson<R extends object = Row>(
    files: string | readonly string[],
    options: JsonOptions = {},
  ): Dataset<R> {
    const paths = typeof files === "string" ? [files] : files;
    return Dataset.#fromTable(readJsonFiles(paths, options.features), options.name ?? paths[0]!);
  }

  static #fromTable<R extends object>({ columns, features }: Table, name: string): Dataset<R> {
    return Dataset.fromDict<R>(columns, features, name);
  }

  /**
   * From values in memory, by column.
   * @param features default: found from the values
   * @throws DatasetError E_COLUMN_LENGTH, E_FEATURE_UNSUPPORTED, E_LABEL_RANGE
   */
  static fromDict<R extends object = Row>(
    columns: Readonly<Record<string, ArrayLike<unknown>>>,
    features?: Features,
    name = "Dataset.fromDict",
  ): Dataset<R> {
    const names = features === undefined ? Object.keys(columns) : Object.keys(features);
    const numRows = names.length === 0 ? 0 : (columns[names[0]!]?.length ?? 0);
    const views = new Map<string, View>();
    const kept: Record<string, Feature> = {};
    for (const column of names) {
      const values = columns[column];
      if (values === undefined) throw unknownColumn(name, column, Object.keys(columns));
      if (values.length !== numRows) throw unequalLengths(name, column, values.length, names[0]!, numRows);
      const feature = features?.[column] ?? inferFeature(values, column);
      checkLabels(name, feature, values);
      kept[column] = feature;
      views.set(column, { column: memoryColumn(values) });
    }
    return new Dataset<R>(views, kept, numRows, name, undefined);
  }

  /** From rows in memory; columns are those of the first row unless `features` lists them. */
  static fromList<R extends object = Row>(rows: readonly R[], features?: Features): Dataset<R> {
    const names = Object.keys(features ?? rows[0] ?? {});
    const columns = Object.fromEntries(
      names.map((name) => [name, rows.map((row) => (row as Row)[name] ?? null)]),
    );
    return Dataset.fromDict<R>(columns, features, "Dataset.fromList");
  }

  get length(): number {
    return this.numRows;
  }

  get columnNames(): string[] {
    return [...this.#views.keys()];
  }

  /** What reading its files has cost so far; undefined for values in memory. Views of one data set share it. */
  get readStatistics(): Readonly<ReadStatistics> | undefined {
    return this.#source?.statistics;
  }

  /** The feature of a column. @throws DatasetError E_COLUMN_UNKNOWN */
  feature(column: string): Feature {
    this.#view(column);
    return this.features[column]!;
  }

  /** One row; a negative index counts from the end. @throws DatasetError E_INDEX_RANGE, E_EMPTY */
  at(index: number): R {
    return this.#row(this.#position(index), this.columnNames);
  }

  /** Rows `start` to `end` - 1, with the meaning of `Array.prototype.slice`. */
  slice(start = 0, end = this.numRows): R[] {
    const from = clampIndex(start, this.numRows);
    const to = clampIndex(end, this.numRows);
    const names = this.columnNames;
    return Array.from({ length: Math.max(0, to - from) }, (_, i) => this.#row(from + i, names));
  }

  /**
   * All values of a column, in order: Int32Array for a ClassLabel, the type's own array for numbers (int64 as
   * Float64Array while every value is exact in it, else BigInt64Array), an array for the rest and where a value is null.
   * @throws DatasetError E_COLUMN_UNKNOWN
   */
  column(name: string): ColumnValues {
    return this.#gather(name, undefined);
  }

  /**
   * The given rows, column by column, in the given order. Reads each row group once, whatever the order.
   * @param columns default: all
   * @throws DatasetError E_INDEX_RANGE, E_COLUMN_UNKNOWN
   */
  batch(indices: ArrayLike<number>, columns: readonly string[] = this.columnNames): Batch {
    const positions = Uint32Array.from(indices, (index) => this.#position(index));
    return Object.fromEntries(columns.map((name) => [name, this.#gather(name, positions)]));
  }

  /** The given rows as row objects, in the given order. Reads each row group once, whatever the order. */
  rows(indices: ArrayLike<number>): R[] {
    const names = this.columnNames;
    const columns = this.batch(indices, names);
    return Array.from(
      indices,
      (_, i) => Object.fromEntries(names.map((name) => [name, columns[name]![i]])) as R,
    );
  }

  *[Symbol.iterator](): IterableIterator<R> {
    const names = this.columnNames;
    for (let i = 0; i < this.numRows; i++) yield this.#row(i, names);
  }

  /**
   * A new data set from `fn` of each row, or of batches of them. What it returns is added to the columns or takes
   * their place; those it does not return stay as they are, unread. With `batched`, `fn` may return more or fewer rows
   * than it got if all columns that it does not return are in `removeColumns`.
   * The new columns are computed now and kept in memory.
   * @throws DatasetError E_COLUMN_LENGTH, E_COLUMN_UNKNOWN, E_FEATURE_UNSUPPORTED
   */
  map<U extends object = Row>(
    fn: (batch: Batch, indices: number[]) => Readonly<Record<string, ArrayLike<unknown>>>,
    options: BatchedMapOptions,
  ): Dataset<U>;
  map<U extends object>(
    fn: (row: R, index: number) => U,
    options?: MapOptions,
  ): Dataset<Omit<R, keyof U> & U>;
  map(
    fn: ((row: R, index: number) => object) | ((batch: Batch, indices: number[]) => object),
    options: MapOptions & { batched?: boolean; batchSize?: number } = {},
  ): Dataset<object> {
    for (const column of options.removeColumns ?? []) this.#view(column);
    const made = options.batched
      ? this.#mapBatches(fn as (batch: Batch, indices: number[]) => object, options.batchSize ?? 1000)
      : this.#mapRows(fn as (row: R, index: number) => object);
    const removed = new Set(options.removeColumns);
    const kept = this.columnNames.filter((name) => !removed.has(name) && !made.has(name));
    const lengths = [...made.values()].map((values) => values.length);
    const numRows = lengths[0] ?? this.numRows;
    for (const [name, values] of made) {
      if (values.length !== numRows)
        throw unequalLengths("map", name, values.length, [...made.keys()][0]!, numRows);
    }
    if (kept.length > 0 && numRows !== this.numRows) {
      throw new DatasetError({
        code: "E_COLUMN_LENGTH",
        where: "map",
        message: `the function returned ${numRows} rows for ${this.numRows}, and ${kept.join(", ")} would stay at ${this.numRows}.`,
        fix: `Pass removeColumns: ${JSON.stringify(kept)}.`,
        detail: { rows: numRows, before: this.numRows, kept },
      });
    }
    const views = new Map<string, View>();
    const features: Record<string, Feature> = {};
    for (const name of [...this.columnNames, ...made.keys()]) {
      const values = made.get(name);
      if (views.has(name) || (values === undefined && removed.has(name))) continue;
      if (values === undefined) {
        views.set(name, this.#views.get(name)!);
        features[name] = this.features[name]!;
      } else {
        const feature = options.features?.[name] ?? keptFeature(this.features[name], values, name);
        checkLabels("map", feature, values);
        views.set(name, { column: memoryColumn(values) });
        features[name] = feature;
      }
    }
    return new Dataset<object>(views, features, numRows, this.name, this.#source);
  }

  #mapRows(fn: (row: R, index: number) => object): Map<string, unknown[]> {
    const made = new Map<string, unknown[]>();
    let index = 0;
    for (const row of this) {
      for (const [name, value] of Object.entries(fn(row, index) ?? {})) {
        let values = made.get(name);
        if (values === undefined) {
          values = new Array(index).fill(null);
          made.set(name, values);
        }
        values[index] = value ?? null;
      }
      index++;
      for (const values of made.values()) if (values.length < index) values.push(null);
    }
    return made;
  }

  #mapBatches(fn: (batch: Batch, indices: number[]) => object, batchSize: number): Map<string, unknown[]> {
    if (!Number.isInteger(batchSize) || batchSize < 1)
      throw badArgument("map", "batchSize", batchSize, "a whole number from 1");
    const made = new Map<string, unknown[]>();
    for (let start = 0; start < this.numRows; start += batchSize) {
      const indices = Array.from({ length: Math.min(batchSize, this.numRows - start) }, (_, i) => start + i);
      for (const [name, values] of Object.entries(fn(this.batch(indices), indices))) {
        const all = made.get(name) ?? [];
        for (const value of Array.from(values as ArrayLike<unknown>)) all.push(value ?? null);
        made.set(name, all);
      }
    }
    return made;
  }

  /**
   * The rows for which `fn` is true.
   * @param options.inputColumns the columns that `fn` looks at; the others are not read. Default: all.
   */
  filter(
    fn: (row: R, index: number) => boolean,
    options: { inputColumns?: readonly string[] } = {},
  ): Dataset<R> {
    const names = options.inputColumns ?? this.columnNames;
    for (const name of names) this.#view(name);
    const kept: number[] = [];
    for (let i = 0; i < this.numRows; i++) if (fn(this.#row(i, names), i)) kept.push(i);
    return this.#at(Uint32Array.from(kept));
  }

  /** The given rows, in the given order; an index may come twice. @throws DatasetError E_INDEX_RANGE */
  select(indices: Iterable<number>): Dataset<R> {
    return this.#at(Uint32Array.from(indices, (index) => this.#position(index)));
  }

  /** The first `n` rows. */
  take(n: number): Dataset<R> {
    return this.#at(range(0, Math.min(n, this.numRows)));
  }

  /** All but the first `n` rows. */
  skip(n: number): Dataset<R> {
    return this.#at(range(Math.min(n, this.numRows), this.numRows));
  }

  /**
   * The same rows in an order that depends on `seed` alone: Fisher-Yates over Philox4x32-10, see `permutation`.
   * (The order is not that of Python's `datasets` for the same seed, which is NumPy's.)
   * @param options.seed a whole number from 0; default: drawn at random
   */
  shuffle(options: { seed?: number } = {}): Dataset<R> {
    return this.#at(permutation(this.numRows, checkSeed("shuffle", options.seed ?? randomSeed())));
  }

  /**
   * Two splits, `train` and `test`, that share no row.
   * @throws DatasetError E_EMPTY, E_ARGUMENT (a split would have no row, or fewer rows than there are classes),
   *   E_COLUMN_UNKNOWN
   */
  trainTestSplit(options: SplitOptions = {}): DatasetDict<R> {
    if (this.numRows === 0) throw this.#empty("trainTestSplit");
    const testSize = options.testSize ?? 0.25;
    const numTest = testSize > 0 && testSize < 1 ? Math.ceil(testSize * this.numRows) : testSize;
    if (!Number.isInteger(numTest) || numTest < 1 || numTest >= this.numRows) {
      throw badArgument(
        "trainTestSplit",
        "testSize",
        testSize,
        `a share between 0 and 1, or 1 to ${this.numRows - 1} of the ${this.numRows} rows, so that neither split is empty`,
      );
    }
    const seed = checkSeed("trainTestSplit", options.seed ?? randomSeed());
    const column = options.stratifyByColumn;
    const { test, train } =
      column === undefined
        ? splitRows(this.numRows, numTest, options.shuffle === false ? undefined : seed)
        : stratifiedSplitRows(this.column(column), column, numTest, seed);
    return new DatasetDict<R>({ train: this.#at(train), test: this.#at(test) }, this.name);
  }

  /** Without these columns. @throws DatasetError E_COLUMN_UNKNOWN */
  removeColumns(columns: string | readonly string[]): Dataset<Row> {
    const removed = typeof columns === "string" ? [columns] : columns;
    for (const name of removed) this.#view(name);
    return this.#withColumns(
      this.columnNames.filter((name) => !removed.includes(name)).map((name) => [name, name]),
    );
  }

  /** Only these columns, in this order. @throws DatasetError E_COLUMN_UNKNOWN */
  selectColumns(columns: string | readonly string[]): Dataset<Row> {
    const kept = typeof columns === "string" ? [columns] : columns;
    return this.#withColumns(kept.map((name) => [name, name]));
  }

  /** With one column under another name. @throws DatasetError E_COLUMN_UNKNOWN, E_ARGUMENT if the new name is taken */
  renameColumn(from: string, to: string): Dataset<Row> {
    this.#view(from);
    if (from !== to && this.#views.has(to)) {
      throw badArgument("renameColumn", "to", JSON.stringify(to), "a name that no column has yet");
    }
    return this.#withColumns(this.columnNames.map((name) => [name, name === from ? to : name]));
  }

  /**
   * With one column as classes: whole numbers stay as they are, texts become the number of their name (null and an empty text -1,
   * "no label").
   * @throws DatasetError E_COLUMN_UNKNOWN, E_LABEL_RANGE, E_LABEL_UNKNOWN
   */
  castColumn(name: string, feature: ClassLabel): Dataset<R> {
    const view = this.#view(name);
    const before = this.features[name];
    let column = view;
    if (before instanceof Value && /string$/.test(before.dtype)) {
      const labels = Array.from(this.column(name) as ArrayLike<unknown>, (text) =>
        text === null || text === "" ? -1 : feature.str2int(String(text)),
      );
      column = { column: memoryColumn(labels) };
    } else checkLabels(`${this.name}, column "${name}"`, feature, this.column(name));
    const views = new Map(this.#views).set(name, column);
    return new Dataset<R>(
      views,
      { ...this.features, [name]: feature },
      this.numRows,
      this.name,
      this.#source,
    );
  }

  /**
   * With a column of texts as classes: its values, sorted, are their names.
   * @throws DatasetError E_COLUMN_UNKNOWN
   */
  classEncodeColumn(name: string): Dataset<R> {
    return this.castColumn(name, new ClassLabel(classNames(this.column(name))));
  }

  /**
   * Writes one Parquet file with the `huggingface` metadata, from which Python's `datasets` reads the features back.
   * It is written beside under a temporary name, flushed and then renamed. Pictures that are files of their own are put in.
   * @throws DatasetError E_WRITE (an older file of that name is untouched), E_FEATURE_UNSUPPORTED
   */
  toParquet(path: string, options: ToParquetOptions = {}): void {
    const hasPictures = Object.values(this.features).some((feature) => feature instanceof Image);
    writeParquetFile(
      path,
      this as unknown as Dataset<Row>,
      options.rowGroupSize ?? (hasPictures ? 100 : 1000),
    );
  }

  toString(): string {
    return `Dataset(numRows: ${this.numRows}, columns: ${this.columnNames.join(", ")})`;
  }

  #withColumns(pairs: readonly (readonly [string, string])[]): Dataset<Row> {
    const views = new Map<string, View>();
    const features: Record<string, Feature> = {};
    for (const [from, to] of pairs) {
      views.set(to, this.#view(from));
      features[to] = this.features[from]!;
    }
    return new Dataset<Row>(views, features, this.numRows, this.name, this.#source);
  }

  /** The rows at these places of this view. Columns that share a list of rows go on sharing one. */
  #at(places: Uint32Array): Dataset<R> {
    const composed = new Map<Uint32Array | undefined, Uint32Array>();
    const views = new Map<string, View>();
    for (const [name, { column, rows }] of this.#views) {
      let chosen = composed.get(rows);
      if (chosen === undefined) {
        chosen = rows === undefined ? places : places.map((place) => rows[place]!);
        composed.set(rows, chosen);
      }
      views.set(name, { column, rows: chosen });
    }
    return new Dataset<R>(views, this.features, places.length, this.name, this.#source);
  }

  #view(name: string): View {
    const view = this.#views.get(name);
    if (view === undefined) throw unknownColumn(this.name, name, this.columnNames);
    return view;
  }

  #position(index: number): number {
    const position = index < 0 ? index + this.numRows : index;
    if (Number.isInteger(index) && position >= 0 && position < this.numRows) return position;
    if (this.numRows === 0) throw this.#empty("row access");
    throw new DatasetError({
      code: "E_INDEX_RANGE",
      where: this.name,
      message: `there is no row ${index}.`,
      fix: `It has ${this.numRows} rows: 0 to ${this.numRows - 1}, or -${this.numRows} to -1 from the end.`,
      detail: { index, numRows: this.numRows },
    });
  }

  #row(position: number, names: readonly string[]): R {
    const row: Row = {};
    for (const name of names) {
      const { column, rows } = this.#views.get(name)!;
      row[name] = column.get(rows === undefined ? position : rows[position]!);
    }
    return row as R;
  }

  #gather(name: string, positions: Uint32Array | undefined): ColumnValues {
    const { column, rows } = this.#view(name);
    const n = positions?.length ?? this.numRows;
    const values = new Array<unknown>(n);
    if (positions === undefined && rows === undefined) {
      for (let i = 0; i < n; i++) values[i] = column.get(i);
    } else {
      const sources = new Uint32Array(n);
      for (let i = 0; i < n; i++) {
        const position = positions === undefined ? i : positions[i]!;
        sources[i] = rows === undefined ? position : rows[position]!;
      }
      for (const i of rankBySource(sources)) values[i] = column.get(sources[i]!);
    }
    return packColumn(values, this.features[name]!);
  }

  #empty(where: string): DatasetError {
    return new DatasetError({
      code: "E_EMPTY",
      where: this.name,
      message: `${where}: the data set has no rows.`,
      fix: "Check the file that it came from, or the filter before.",
    });
  }
}

/** Places 0 … n - 1 in the order of their source rows, so that row groups are visited one after another. */
function rankBySource(sources: Uint32Array): Uint32Array {
  const places = range(0, sources.length);
  for (let i = 1; i < sources.length; i++) {
    if (sources[i]! < sources[i - 1]!) return places.sort((a, b) => sources[a]! - sources[b]!);
  }
  return places;
}

function clampIndex(index: number, length: number): number {
  return Math.max(0, Math.min(length, index < 0 ? index + length : index));
}

function randomSeed(): number {
  return Math.floor(Math.random() * 2 ** 32);
}

function unequalLengths(where: string, column: string, n: number, first: string, rows: number): DatasetError {
  return new DatasetError({
    code: "E_COLUMN_LENGTH",
    where,
    message: `column "${column}" has ${n} values, "${first}" has ${rows}.`,
    fix: "Every column needs one value a row (null where there is none).",
    detail: { column, length: n, rows },
  });
}
