import { type Decoded, decodeVector } from "./arrow-values.js";
import type { Column } from "./column.js";
import { DatasetError } from "./errors.js";
import { ClassLabel, type Feature, featuresFromSchema, labelOutOfRange } from "./features.js";
import { ParquetFile } from "./parquet-file.js";

/** Decoded columns of row groups that are kept in memory, in bytes, unless told otherwise. */
export const DEFAULT_CACHE_BYTES = 64 * 2 ** 20;

/** What reading has cost so far. */
export interface ReadStatistics {
  /** Row groups of all files. */
  rowGroups: number;
  /** Times that one column of one row group was read and decoded. */
  columnReads: number;
  /** Bytes read from disk, footers not counted. */
  bytesRead: number;
  /** Bytes of decoded values that are in memory now. */
  cachedBytes: number;
  /** The most that were in memory at once. */
  peakCachedBytes: number;
}

interface Located {
  file: ParquetFile;
  group: number;
  firstRow: number;
  numRows: number;
}

/** The Parquet files of one split as one table, read a column of a row group at a time. */
export class ParquetSource {
  readonly numRows: number;
  readonly features: Readonly<Record<string, Feature>>;
  readonly statistics: ReadStatistics;
  readonly #groups: readonly Located[];
  readonly #cacheBytes: number;
  /** Oldest use first. */
  readonly #cache = new Map<string, { decoded: Decoded; bytes: number }>();

  /** @throws DatasetError as {@link ParquetFile.open}; E_SCHEMA_MISMATCH if the files differ in their columns */
  constructor(paths: readonly string[], cacheBytes = DEFAULT_CACHE_BYTES) {
    const files = paths.map((path) => ParquetFile.open(path));
    const [first] = files;
    if (first === undefined) {
      throw new DatasetError({
        code: "E_ARGUMENT",
        where: "Dataset.fromParquet",
        message: "the list of files is empty.",
        fix: "Name at least one .parquet file.",
      });
    }
    this.features = featuresFromSchema(first.arrowSchema(), first.metadata.get("huggingface"));
    for (const file of files) checkSameColumns(first, file);

    const groups: Located[] = [];
    let firstRow = 0;
    for (const file of files) {
      for (const [group, numRows] of file.groupRows.entries()) {
        if (numRows > 0) groups.push({ file, group, firstRow, numRows });
        firstRow += numRows;
      }
    }
    this.numRows = firstRow;
    this.#groups = groups;
    this.#cacheBytes = cacheBytes;
    this.statistics = {
      rowGroups: groups.length,
      columnReads: 0,
      bytesRead: 0,
      cachedBytes: 0,
      peakCachedBytes: 0,
    };
  }

  /** One column of the table. */
  column(name: string): Column {
    let at: Located | undefined;
    let decoded: Decoded | undefined;
    return {
      length: this.numRows,
      get: (row) => {
        if (at === undefined || row < at.firstRow || row >= at.firstRow + at.numRows) {
          at = this.#locate(row);
          decoded = undefined;
        }
        // Looked up again for each row, so that a group that has left the cache can be collected.
        decoded = this.#decoded(at, name);
        return decoded.get(row - at.firstRow);
      },
    };
  }

  #locate(row: number): Located {
    let low = 0;
    let high = this.#groups.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#groups[middle]!.firstRow <= row) low = middle;
      else high = middle - 1;
    }
    return this.#groups[low]!;
  }

  #decoded(at: Located, column: string): Decoded {
    const key = `${at.firstRow}/${column}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) {
      this.#cache.delete(key);
      this.#cache.set(key, cached);
      return cached.decoded;
    }
    const { vector, bytes } = at.file.readColumn(at.group, column);
    const decoded = decodeVector(vector);
    const feature = this.features[column];
    if (feature instanceof ClassLabel) checkLabels(at, column, feature, decoded);
    this.#keep(key, decoded, bytes);
    this.statistics.columnReads++;
    this.statistics.bytesRead += at.file.columnBytes(at.group, column);
    return decoded;
  }

  #keep(key: string, decoded: Decoded, bytes: number): void {
    const statistics = this.statistics;
    for (const [oldest, { bytes: freed }] of this.#cache) {
      if (statistics.cachedBytes + bytes <= this.#cacheBytes) break;
      this.#cache.delete(oldest);
      statistics.cachedBytes -= freed;
    }
    this.#cache.set(key, { decoded, bytes });
    statistics.cachedBytes += bytes;
    statistics.peakCachedBytes = Math.max(statistics.peakCachedBytes, statistics.cachedBytes);
  }
}

function checkSameColumns(first: ParquetFile, file: ParquetFile): void {
  const expected = first.columnNames.join(", ");
  const found = file.columnNames.join(", ");
  const missing = first.columnNames.filter((name) => !file.columnNames.includes(name));
  if (missing.length === 0 && found.length === expected.length) return;
  throw new DatasetError({
    code: "E_SCHEMA_MISMATCH",
    where: file.path,
    message: `its columns are ${found}; those of ${first.path} are ${expected}.`,
    fix: "Files of one split must have the same columns: load them as splits of their own, or write them again.",
    detail: { expected: first.columnNames, found: file.columnNames },
  });
}

function checkLabels(at: Located, column: string, feature: ClassLabel, decoded: Decoded): void {
  let row = 0;
  const firstOfFile = at.file.groupRows.slice(0, at.group).reduce((sum, n) => sum + n, 0);
  for (; row < decoded.length; row++) {
    const label = decoded.get(row);
    if (label === null) continue;
    // -1 is Hugging Face's "no label": unlabelled test splits are full of it.
    if (typeof label !== "number" || label < -1 || label >= feature.numClasses) {
      throw labelOutOfRange(`${at.file.path}, column "${column}"`, label, feature, firstOfFile + row);
    }
  }
}
