import { type Decoded, decodeVector } from "./arrow-values.js";
import type { Column } from "./column.js";
import { DatasetError } from "./errors.js";
import { ClassLabel, type Feature, featuresFromSchema, Image, labelOutOfRange } from "./features.js";
import { type LeafPages, type Page, ParquetFile } from "./parquet-file.js";

/** Decoded columns of row groups that are kept in memory, in bytes, unless told otherwise. */
export const DEFAULT_CACHE_BYTES = 64 * 2 ** 20;

/**
 * Of these, pages of pictures. Few: their encoded bytes are asked for once an epoch, so that keeping more only costs memory, and
 * in a random order no cache that is smaller than the data set helps much.
 */
const PICTURE_CACHE_BYTES = 8 * 2 ** 20;

/** What reading has cost so far. */
export interface ReadStatistics {
  /** Row groups of all files. */
  rowGroups: number;
  /** Times that one column of one row group, or of pictures a page, was read and decoded. */
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
  readonly #cache: Cache;
  readonly #pictures: Cache;
  /** Pages of each column of pictures in a row group; null where they are read whole. */
  readonly #pages = new Map<string, readonly LeafPages[] | null>();

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
    this.statistics = {
      rowGroups: groups.length,
      columnReads: 0,
      bytesRead: 0,
      cachedBytes: 0,
      peakCachedBytes: 0,
    };
    this.#cache = new Cache(cacheBytes, this.statistics);
    this.#pictures = new Cache(Math.min(cacheBytes, PICTURE_CACHE_BYTES), this.statistics);
  }

  /** One column of the table. */
  column(name: string): Column {
    const isPictures = this.features[name] instanceof Image;
    let at: Located | undefined;
    return {
      length: this.numRows,
      get: (row) => {
        if (at === undefined || row < at.firstRow || row >= at.firstRow + at.numRows) at = this.#locate(row);
        const pages = isPictures ? this.#pagesOf(at, name) : null;
        if (pages !== null) return this.#picture(at, name, pages, row - at.firstRow);
        // Looked up again for each row, so that a group that has left the cache can be collected.
        return this.#decoded(at, name).get(row - at.firstRow);
      },
    };
  }

  #pagesOf(at: Located, column: string): readonly LeafPages[] | null {
    const key = `${at.firstRow}/${column}`;
    let pages = this.#pages.get(key);
    if (pages === undefined) {
      pages = at.file.leafPages(at.group, column);
      this.#pages.set(key, pages);
    }
    return pages;
  }

  /** The struct of a row, from one page of each of its leaves: a row group may be a whole file of pictures. */
  #picture(at: Located, column: string, leaves: readonly LeafPages[], row: number): unknown {
    let value: Record<string, unknown> | null = null;
    for (const [i, leaf] of leaves.entries()) {
      const found = leaf.pages[pageOf(leaf.pages, row)]!;
      const key = `${at.firstRow}/${column}/${i}/${found.firstRow}`;
      let decoded = this.#pictures.get(key);
      if (decoded === undefined) {
        const page = at.file.readPage(leaf, found);
        decoded = page.decoded;
        this.#pictures.keep(key, decoded, page.bytes);
        this.statistics.columnReads++;
        this.statistics.bytesRead += page.read;
      }
      const part = decoded.get(row - found.firstRow) as Record<string, unknown> | null;
      if (part === null) return null;
      value = value === null ? part : Object.assign(value, part);
    }
    return value;
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
    if (cached !== undefined) return cached;
    const { vector, bytes } = at.file.readColumn(at.group, column);
    const decoded = decodeVector(vector);
    const feature = this.features[column];
    if (feature instanceof ClassLabel) checkLabels(at, column, feature, decoded);
    this.#cache.keep(key, decoded, bytes);
    this.statistics.columnReads++;
    this.statistics.bytesRead += at.file.columnBytes(at.group, column);
    return decoded;
  }
}

/** Decoded values, those used last, up to a number of bytes; at least one entry. */
class Cache {
  readonly #limit: number;
  readonly #statistics: ReadStatistics;
  /** Oldest use first. */
  readonly #entries = new Map<string, { decoded: Decoded; bytes: number }>();
  #bytes = 0;

  constructor(limit: number, statistics: ReadStatistics) {
    this.#limit = limit;
    this.#statistics = statistics;
  }

  get(key: string): Decoded | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.decoded;
  }

  keep(key: string, decoded: Decoded, bytes: number): void {
    for (const [oldest, { bytes: freed }] of this.#entries) {
      if (this.#bytes + bytes <= this.#limit) break;
      this.#entries.delete(oldest);
      this.#count(-freed);
    }
    this.#entries.set(key, { decoded, bytes });
    this.#count(bytes);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    const statistics = this.#statistics;
    statistics.cachedBytes += bytes;
    statistics.peakCachedBytes = Math.max(statistics.peakCachedBytes, statistics.cachedBytes);
  }
}

/** Which page holds a row. */
function pageOf(pages: readonly Page[], row: number): number {
  let low = 0;
  let high = pages.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pages[middle]!.firstRow <= row) low = middle;
    else high = middle - 1;
  }
  return low;
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
