import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { type Schema as ArrowSchema, tableFromIPC, type Vector } from "apache-arrow";
import { readParquet, readSchema } from "parquet-wasm";
import { type Decoded, decodeVector } from "./arrow-values.js";
import { DatasetError, reason } from "./errors.js";
import {
  readThrift,
  readThriftHead,
  type ThriftField,
  type ThriftList,
  type ThriftStruct,
  ThriftType,
  writeThrift,
} from "./thrift.js";

const MAGIC = "PAR1";
const ENCRYPTED_MAGIC = "PARE";
const TAIL_BYTES = 8;

/** Field ids of `parquet.thrift` (apache/parquet-format) that are read or rewritten here. */
const FileMetaData = { version: 1, schema: 2, numRows: 3, rowGroups: 4, keyValue: 5 } as const;
const SchemaElement = {
  type: 1,
  repetition: 3,
  name: 4,
  numChildren: 5,
  convertedType: 6,
  logicalType: 10,
} as const;
const OPTIONAL = 1;
const REPEATED = 2;
const BYTE_ARRAY = 6;
const UNCOMPRESSED = 0;
const PLAIN = 0;
const KeyValue = { key: 1, value: 2 } as const;
const RowGroup = { columns: 1, totalByteSize: 2, numRows: 3 } as const;
const ColumnChunk = { fileOffset: 2, metaData: 3 } as const;
const ColumnMetaData = {
  path: 3,
  codec: 4,
  numValues: 5,
  totalCompressedSize: 7,
  dataPageOffset: 9,
  dictionaryPageOffset: 11,
} as const;
/** Type, encodings, path, codec, number of values, both sizes, data page and dictionary page: all that decoding needs. */
const KEPT_COLUMN_FIELDS = new Set([1, 2, 3, 4, 5, 6, 7, 9, 11]);

const PageHeader = { type: 1, compressedSize: 3, data: 5, dataV2: 8 } as const;
const DataPage = { numValues: 1, encoding: 2, encodingV2: 4 } as const;
/** PLAIN_DICTIONARY and RLE_DICTIONARY: the values are numbers of the dictionary page's. */
const DICTIONARY_ENCODINGS: readonly unknown[] = [2, 8];
const PageType = { data: 0, dictionary: 2, dataV2: 3 } as const;
/** Long enough for most page headers; one with long statistics is read again at twice the length. */
const PAGE_HEADER_BYTES = 256;

interface Chunk {
  field: ThriftStruct;
  start: number;
  length: number;
}

/** Part of a column chunk that can be decoded by itself. */
export interface Page {
  /** Counted in its row group. */
  firstRow: number;
  numRows: number;
  /** Place of its header and its data in the file. */
  start: number;
  length: number;
  usesDictionary: boolean;
  /** Bytes of the header, where the values behind it lie as they are: neither compressed nor encoded; else null. */
  plainAfter: number | null;
}

/** One leaf of a column in a row group, page by page. */
export interface LeafPages {
  pages: readonly Page[];
  chunk: Chunk;
  /** Place of the page that the others' values may be numbers of. */
  dictionary: { start: number; length: number } | null;
  /** The column's schema elements with this leaf alone. */
  elements: readonly ThriftStruct[];
}

interface Group {
  numRows: number;
  /** By top-level column: one chunk, or for a struct or list one a leaf. */
  chunks: Map<string, Chunk[]>;
}

/**
 * One Parquet file, of which only the footer is kept. A column of a row group is read on demand: its chunks alone are
 * read from disk, set between a header and a footer that describes nothing else, and decoded as a file of their own.
 * So neither the file nor a whole row group has to fit in memory, and columns that nobody asks for are never read.
 */
export class ParquetFile {
  readonly path: string;
  readonly numRows: number;
  /** The top-level columns, in the file's order. */
  readonly columnNames: readonly string[];
  /** Rows of each row group, in order. */
  readonly groupRows: readonly number[];
  /** The footer's key-value metadata; `huggingface` holds the features. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Bytes of the file. */
  readonly size: number;

  readonly #version: ThriftField;
  readonly #root: ThriftStruct;
  /** The schema elements of each top-level column: itself, then what it contains, depth first. */
  readonly #elements: ReadonlyMap<string, ThriftStruct[]>;
  readonly #groups: readonly Group[];

  private constructor(path: string, size: number, footer: ThriftStruct) {
    this.path = path;
    this.size = size;
    this.#version = need(footer, FileMetaData.version);
    this.numRows = number(footer, FileMetaData.numRows);

    const elements = structs(footer, FileMetaData.schema);
    const root = elements[0];
    if (root === undefined) throw new RangeError("the footer holds no schema");
    this.#root = root;
    this.#elements = topLevelColumns(elements);
    this.columnNames = [...this.#elements.keys()];

    this.#groups = structs(footer, FileMetaData.rowGroups).map((group) => readGroup(group, size));
    this.groupRows = this.#groups.map((group) => group.numRows);
    this.metadata = readKeyValues(footer);
  }

  /**
   * Reads the footer of a file.
   * @throws DatasetError E_FILE_NOT_FOUND, E_NOT_PARQUET, E_PARQUET_TRUNCATED, E_PARQUET_CORRUPT, E_PARQUET_ENCRYPTED
   */
  static open(path: string): ParquetFile {
    const { footer, size } = readFooter(path);
    try {
      return new ParquetFile(path, size, readThrift(footer));
    } catch (cause) {
      throw corrupt(path, `its footer cannot be read: ${reason(cause)}.`, cause);
    }
  }

  /** The Arrow schema of all columns, from the footer alone. */
  arrowSchema(): ArrowSchema {
    const empty = this.#assemble(this.columnNames, 0, new Map());
    try {
      return tableFromIPC(readSchema(empty).intoIPCStream()).schema;
    } catch (cause) {
      throw corrupt(this.path, `its schema cannot be read: ${reason(cause)}.`, cause);
    }
  }

  /** Bytes on disk of a column in a row group. */
  columnBytes(group: number, column: string): number {
    return (this.#groups[group]?.chunks.get(column) ?? []).reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /**
   * Reads and decodes one column of one row group.
   * @returns the values and the bytes they take in memory
   */
  readColumn(group: number, column: string): { vector: Vector; bytes: number } {
    const found = this.#groups[group];
    const chunks = found?.chunks.get(column);
    if (found === undefined || chunks === undefined) {
      throw corrupt(this.path, `row group ${group} holds no column "${column}".`);
    }
    const assembled = this.#assemble([column], found.numRows, new Map(chunks.map((c) => [c, this.#read(c)])));
    return this.#decode(assembled, found.numRows, `column "${column}" of row group ${group}`);
  }

  /**
   * Where the pages of a column begin in a row group, leaf by leaf: of a plain column, or of a struct of such. Reads the headers
   * of the pages and nothing else.
   * @returns null for columns whose pages do not begin with a row (lists)
   * @throws DatasetError E_PARQUET_CORRUPT, E_FILE_CHANGED
   */
  leafPages(group: number, column: string): readonly LeafPages[] | null {
    const elements = this.#elements.get(column);
    const found = this.#groups[group];
    const chunks = found?.chunks.get(column);
    if (elements === undefined || found === undefined || chunks === undefined) return null;
    const [head, ...leaves] = elements;
    const isPlain = (element: ThriftStruct): boolean => {
      const repetition = element.get(SchemaElement.repetition)?.value;
      return repetition !== REPEATED && !element.get(SchemaElement.numChildren)?.value;
    };
    if (head!.get(SchemaElement.repetition)?.value === REPEATED) return null;
    if (!leaves.every(isPlain) || chunks.length !== Math.max(1, leaves.length)) return null;
    const alone = new Map(head!).set(SchemaElement.numChildren, i32(1));
    return this.#open((fd) =>
      chunks.map((chunk, i) => {
        const pages = this.#pagesOf(fd, chunk, column, group);
        const rows = pages.pages.reduce((sum, page) => sum + page.numRows, 0);
        if (rows !== found.numRows) {
          throw corrupt(
            this.path,
            `the pages of column "${column}" in row group ${group} hold ${rows} rows, its footer says ${found.numRows}.`,
          );
        }
        return { ...pages, chunk, elements: leaves.length === 0 ? [head!] : [alone, leaves[i]!] };
      }),
    );
  }

  /**
   * Reads one page of a leaf: the column, as a struct with this leaf alone if it is one. Of bytes that lie in the file as they are
   * only the places stay in memory, 12 bytes a row, and each value is read when it is asked for; texts stay with their page.
   * (The decoder, which is WebAssembly, is not needed then: V8 compiles it anew once it is used much, which takes 35 MB.)
   * @returns the values, the bytes they take in memory and those that were read
   */
  readPage(leaf: LeafPages, page: Page): { decoded: Decoded; bytes: number; read: number } {
    const element = leaf.elements.at(-1)!;
    const isText = element.has(SchemaElement.convertedType) || element.has(SchemaElement.logicalType);
    if (page.plainAfter !== null && element.get(SchemaElement.type)?.value === BYTE_ARRAY) {
      return this.#plainPage(leaf, page, page.plainAfter, isText);
    }
    const dictionary = page.usesDictionary ? leaf.dictionary : null;
    const parts = dictionary === null ? [page] : [dictionary, page];
    const data = this.#open((fd) => parts.map(({ start, length }) => readAt(fd, this.path, start, length)));
    const bytes = data.length === 1 ? data[0]! : Buffer.concat(data);
    const field = chunkOfPage(leaf.chunk.field, page.numRows, bytes.length, dictionary?.length ?? 0);
    const chunk: Chunk = { field, start: MAGIC.length, length: bytes.length };
    const what = `the page of rows ${page.firstRow} to ${page.firstRow + page.numRows - 1}`;
    const assembled = this.#assembleElements(leaf.elements, 1, page.numRows, new Map([[chunk, bytes]]));
    const { vector, bytes: size } = this.#decode(assembled, page.numRows, what);
    return { decoded: decodeVector(vector), bytes: size, read: bytes.length };
  }

  /** A page of plain byte arrays: lengths, each followed by its bytes. */
  #plainPage(
    leaf: LeafPages,
    page: Page,
    headerLength: number,
    isText: boolean,
  ): ReturnType<ParquetFile["readPage"]> {
    if (scratch.length < page.length) scratch = new Uint8Array(page.length);
    const bytes = scratch.subarray(0, page.length);
    this.#open((fd) => fillFrom(fd, this.path, page.start, bytes));
    const optional = leaf.elements.map((one) => one.get(SchemaElement.repetition)?.value === OPTIONAL);
    const most = optional.filter(Boolean).length;
    const starts = new Float64Array(page.numRows);
    const lengths = new Int32Array(page.numRows);
    try {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let at = headerLength;
      let levels: Uint8Array | null = null;
      if (most > 0) {
        const length = view.getUint32(at, true);
        levels = readLevels(bytes.subarray(at + 4, at + 4 + length), page.numRows, most > 1 ? 2 : 1);
        at += 4 + length;
      }
      for (let row = 0; row < page.numRows; row++) {
        const level = levels === null ? most : levels[row]!;
        if (level < most) {
          // Of a struct that is there, only this value is missing.
          lengths[row] = leaf.elements.length > 1 && level === most - 1 && optional.at(-1) ? -1 : -2;
          continue;
        }
        const length = view.getUint32(at, true);
        at += 4;
        starts[row] = page.start + at;
        lengths[row] = length;
        at += length;
        if (at > bytes.length) throw new RangeError(`the value of row ${page.firstRow + row} is too long`);
      }
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const last = page.firstRow + page.numRows - 1;
      throw corrupt(
        this.path,
        `the page of rows ${page.firstRow} to ${last} cannot be decoded: ${cause.message}.`,
        cause,
      );
    }
    const decoder = new TextDecoder();
    const name = decoder.decode(leaf.elements.at(-1)!.get(SchemaElement.name)!.value as Uint8Array);
    const isStruct = leaf.elements.length > 1;
    const kept = isText ? bytes.slice() : null;
    const value = (start: number, length: number): unknown => {
      if (kept === null) return this.#open((fd) => readAt(fd, this.path, start, length));
      return decoder.decode(kept.subarray(start - page.start, start - page.start + length));
    };
    const get = (row: number): unknown => {
      const length = lengths[row]!;
      if (length === -2) return null;
      const found = length === -1 ? null : value(starts[row]!, length);
      return isStruct ? { [name]: found } : found;
    };
    const size = 12 * page.numRows + (kept?.length ?? 0);
    return { decoded: { length: page.numRows, get }, bytes: size, read: bytes.length };
  }

  /** The pages of a chunk: each begins with a header that tells how long it is. */
  #pagesOf(fd: number, chunk: Chunk, column: string, group: number): Omit<LeafPages, "chunk" | "elements"> {
    const pages: Page[] = [];
    let dictionary: LeafPages["dictionary"] = null;
    const end = chunk.start + chunk.length;
    const meta = need(chunk.field, ColumnChunk.metaData).value as ThriftStruct;
    const isUncompressed = meta.get(ColumnMetaData.codec)?.value === UNCOMPRESSED;
    let firstRow = 0;
    try {
      for (let at = chunk.start; at < end; ) {
        const { struct, length: headerLength } = this.#pageHeader(fd, at, end);
        const length = headerLength + number(struct, PageHeader.compressedSize);
        const type = need(struct, PageHeader.type).value;
        if (at + length > end) throw new RangeError(`the page at byte ${at} is longer than its column`);
        if (type === PageType.dictionary) dictionary = { start: at, length };
        else if (type === PageType.data || type === PageType.dataV2) {
          const isV2 = type === PageType.dataV2;
          const header = need(struct, isV2 ? PageHeader.dataV2 : PageHeader.data).value as ThriftStruct;
          const numRows = number(header, DataPage.numValues);
          const encoding = header.get(isV2 ? DataPage.encodingV2 : DataPage.encoding)?.value;
          const usesDictionary = DICTIONARY_ENCODINGS.includes(encoding);
          const plainAfter = !isV2 && encoding === PLAIN && isUncompressed ? headerLength : null;
          if (numRows > 0) pages.push({ firstRow, numRows, start: at, length, usesDictionary, plainAfter });
          firstRow += numRows;
        }
        at += length;
      }
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw corrupt(
        this.path,
        `the pages of column "${column}" in row group ${group} cannot be read: ${cause.message}.`,
        cause,
      );
    }
    return { pages, dictionary };
  }

  #pageHeader(fd: number, at: number, end: number): ReturnType<typeof readThriftHead> {
    for (let length = PAGE_HEADER_BYTES; ; length *= 2) {
      const isWhole = at + length >= end;
      const bytes = readAt(fd, this.path, at, isWhole ? end - at : length);
      try {
        return readThriftHead(bytes);
      } catch (cause) {
        if (isWhole || length > 2 ** 20) throw cause;
      }
    }
  }

  #read(chunk: Chunk): Uint8Array {
    return this.#open((fd) => readAt(fd, this.path, chunk.start, chunk.length));
  }

  /** What `read` makes of the open file. @throws DatasetError E_FILE_CHANGED, E_FILE_NOT_FOUND */
  #open<T>(read: (fd: number) => T): T {
    const fd = openFile(this.path);
    try {
      const { size } = fstatSync(fd);
      if (size !== this.size) {
        throw new DatasetError({
          code: "E_FILE_CHANGED",
          where: this.path,
          message: `the file had ${this.size} bytes when it was opened and has ${size} now.`,
          fix: "Load the data set again; do not write to a file that is in use.",
          detail: { before: this.size, now: size },
        });
      }
      return read(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Decodes an assembled file of one column. */
  #decode(assembled: Uint8Array, numRows: number, what: string): { vector: Vector; bytes: number } {
    let vector: Vector | null;
    let bytes: number;
    try {
      const ipc = readParquet(assembled).intoIPCStream();
      bytes = ipc.length;
      vector = tableFromIPC(ipc).getChildAt(0);
    } catch (cause) {
      const said = cause instanceof WebAssembly.RuntimeError ? "the Parquet decoder gave up" : reason(cause);
      throw corrupt(this.path, `${what} cannot be decoded: ${said}.`, cause);
    }
    if (vector === null || vector.length !== numRows) {
      const rows = vector?.length ?? 0;
      throw corrupt(this.path, `${what} holds ${rows} rows, its footer says ${numRows}.`);
    }
    return { vector, bytes };
  }

  /** A Parquet file of its own: these columns, and one row group if there are chunks. */
  #assemble(columns: readonly string[], numRows: number, chunks: ReadonlyMap<Chunk, Uint8Array>): Uint8Array {
    const elements = columns.flatMap((name) => this.#elements.get(name) ?? []);
    return this.#assembleElements(elements, columns.length, numRows, chunks);
  }

  #assembleElements(
    elements: readonly ThriftStruct[],
    numColumns: number,
    numRows: number,
    chunks: ReadonlyMap<Chunk, Uint8Array>,
  ): Uint8Array {
    const magic = new TextEncoder().encode(MAGIC);
    let end = magic.length;
    const places: { at: number; bytes: Uint8Array }[] = [];
    const columnFields: ThriftStruct[] = [];
    for (const [chunk, bytes] of chunks) {
      columnFields.push(moveChunk(chunk.field, end - chunk.start));
      places.push({ at: end, bytes });
      end += bytes.length;
    }
    const root = new Map(this.#root).set(SchemaElement.numChildren, i32(numColumns));
    const schema = [root, ...elements];
    const group: ThriftStruct = new Map([
      [RowGroup.columns, list(columnFields)],
      [RowGroup.totalByteSize, i64(end - magic.length)],
      [RowGroup.numRows, i64(numRows)],
    ]);
    const footer = writeThrift(
      new Map([
        [FileMetaData.version, this.#version],
        [FileMetaData.schema, list(schema)],
        [FileMetaData.numRows, i64(numRows)],
        [FileMetaData.rowGroups, list(chunks.size === 0 ? [] : [group])],
      ]),
    );
    const file = new Uint8Array(end + footer.length + TAIL_BYTES);
    file.set(magic, 0);
    for (const { at, bytes } of places) file.set(bytes, at);
    file.set(footer, end);
    new DataView(file.buffer).setUint32(end + footer.length, footer.length, true);
    file.set(magic, end + footer.length + 4);
    return file;
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new DatasetError({
      code: "E_FILE_NOT_FOUND",
      where: path,
      message: `the file cannot be opened: ${reason(cause)}.`,
      fix: "Check the path and the permissions.",
      cause,
    });
  }
}

function readFooter(path: string): { footer: Uint8Array; size: number } {
  const fd = openFile(path);
  try {
    const { size } = statSync(path).isDirectory() ? { size: -1 } : fstatSync(fd);
    if (size < 0) {
      throw notParquet(path, "it is a folder.", "Give a file, or load the folder with loadDataset.");
    }
    if (size === 0) {
      throw notParquet(path, "it is empty (0 bytes).", "Write or download it again.");
    }
    const head = text(readAt(fd, path, 0, Math.min(4, size)));
    const isParquet = head === MAGIC || head === ENCRYPTED_MAGIC;
    if (!isParquet) {
      const begins = JSON.stringify(head);
      throw notParquet(
        path,
        `a Parquet file begins with "PAR1", this one with ${begins} (${size} bytes).`,
        "Give the .parquet file itself; a Git LFS pointer or an HTML page saved under its name has to be downloaded again.",
      );
    }
    if (size < 4 + TAIL_BYTES) throw truncated(path, `it has only ${size} bytes and no footer.`);
    const tail = readAt(fd, path, size - TAIL_BYTES, TAIL_BYTES);
    const end = text(tail.subarray(4));
    if (end === ENCRYPTED_MAGIC || head === ENCRYPTED_MAGIC) {
      throw new DatasetError({
        code: "E_PARQUET_ENCRYPTED",
        where: path,
        message: "its footer is encrypted.",
        fix: "Write it again without encryption.",
      });
    }
    if (end !== MAGIC) {
      throw truncated(path, `it begins as a Parquet file but has no footer at its end (${size} bytes).`);
    }
    const footerLength = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true);
    if (footerLength > size - 4 - TAIL_BYTES) {
      throw corrupt(path, `its last bytes announce a footer of ${footerLength} bytes in a file of ${size}.`);
    }
    return { footer: readAt(fd, path, size - TAIL_BYTES - footerLength, footerLength), size };
  } finally {
    closeSync(fd);
  }
}

/** For pages that are looked through and let go: new memory for each would leave gaps in the process' that stay. */
let scratch = new Uint8Array(0);

function readAt(fd: number, path: string, start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  fillFrom(fd, path, start, bytes);
  return bytes;
}

function fillFrom(fd: number, path: string, start: number, bytes: Uint8Array): void {
  const { length } = bytes;
  let filled = 0;
  while (filled < length) {
    const n = readSync(fd, bytes, filled, length - filled, start + filled);
    if (n === 0) throw truncated(path, `it ends at byte ${start + filled}, ${length - filled} bytes early.`);
    filled += n;
  }
}

function notParquet(path: string, message: string, fix: string): DatasetError {
  return new DatasetError({
    code: "E_NOT_PARQUET",
    where: path,
    message: `not a Parquet file: ${message}`,
    fix,
  });
}

function truncated(path: string, message: string): DatasetError {
  return new DatasetError({
    code: "E_PARQUET_TRUNCATED",
    where: path,
    message: `the file is cut short: ${message}`,
    fix: "Download or write it again, and compare its size with the original's.",
  });
}

function corrupt(path: string, message: string, cause?: unknown): DatasetError {
  return new DatasetError({
    code: "E_PARQUET_CORRUPT",
    where: path,
    message: `the file is damaged: ${message}`,
    fix: "Download or write it again, and compare its checksum with the original's.",
    cause,
  });
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

function need(struct: ThriftStruct, id: number): ThriftField {
  const field = struct.get(id);
  if (field === undefined) throw new RangeError(`field ${id} is missing`);
  return field;
}

function number(struct: ThriftStruct, id: number): number {
  const { value } = need(struct, id);
  if (typeof value !== "number" || value < 0) throw new RangeError(`field ${id} is no count`);
  return value;
}

function structs(struct: ThriftStruct, id: number): ThriftStruct[] {
  const { value } = need(struct, id);
  const values = (value as ThriftList).values;
  if (!Array.isArray(values) || values.some((v) => !(v instanceof Map))) {
    throw new RangeError(`field ${id} is no list of structs`);
  }
  return values as ThriftStruct[];
}

function string(struct: ThriftStruct, id: number): string {
  const { value } = need(struct, id);
  if (!(value instanceof Uint8Array)) throw new RangeError(`field ${id} is no string`);
  return new TextDecoder().decode(value);
}

const i32 = (value: number): ThriftField => ({ type: ThriftType.i32, value });
const i64 = (value: number): ThriftField => ({ type: ThriftType.i64, value });
const list = (values: ThriftStruct[]): ThriftField => ({
  type: ThriftType.list,
  value: { elementType: ThriftType.struct, values },
});

function topLevelColumns(elements: readonly ThriftStruct[]): Map<string, ThriftStruct[]> {
  const columns = new Map<string, ThriftStruct[]>();
  let at = 1;
  const take = (): ThriftStruct[] => {
    const element = elements[at++];
    if (element === undefined) throw new RangeError("the schema ends early");
    const children = element.has(SchemaElement.numChildren) ? number(element, SchemaElement.numChildren) : 0;
    const taken = [element];
    for (let i = 0; i < children; i++) taken.push(...take());
    return taken;
  };
  while (at < elements.length) {
    const column = take();
    columns.set(string(column[0]!, SchemaElement.name), column);
  }
  return columns;
}

function readGroup(group: ThriftStruct, fileSize: number): Group {
  const chunks = new Map<string, Chunk[]>();
  for (const field of structs(group, RowGroup.columns)) {
    const meta = need(field, ColumnChunk.metaData).value as ThriftStruct;
    const path = (need(meta, ColumnMetaData.path).value as ThriftList).values;
    const column = new TextDecoder().decode(path[0] as Uint8Array);
    const data = number(meta, ColumnMetaData.dataPageOffset);
    const dictionary = meta.has(ColumnMetaData.dictionaryPageOffset)
      ? number(meta, ColumnMetaData.dictionaryPageOffset)
      : 0;
    // Some writers put 0 where there is no dictionary page.
    const start = dictionary > 0 ? Math.min(dictionary, data) : data;
    const length = number(meta, ColumnMetaData.totalCompressedSize);
    if (start < MAGIC.length || start + length > fileSize - TAIL_BYTES) {
      throw new RangeError(`column "${column}" lies outside the file (bytes ${start} to ${start + length})`);
    }
    const known = chunks.get(column) ?? [];
    known.push({ field, start, length });
    chunks.set(column, known);
  }
  return { numRows: number(group, RowGroup.numRows), chunks };
}

function readKeyValues(footer: ThriftStruct): Map<string, string> {
  const pairs = new Map<string, string>();
  if (!footer.has(FileMetaData.keyValue)) return pairs;
  for (const pair of structs(footer, FileMetaData.keyValue)) {
    if (pair.has(KeyValue.value)) pairs.set(string(pair, KeyValue.key), string(pair, KeyValue.value));
  }
  return pairs;
}

/** Definition levels: runs and bit-packed groups of 8, as Parquet's RLE hybrid has them, `width` bits each. */
function readLevels(bytes: Uint8Array, count: number, width: number): Uint8Array {
  const levels = new Uint8Array(count);
  let at = 0;
  let filled = 0;
  const byte = (): number => {
    if (at >= bytes.length) throw new RangeError("its levels end early");
    return bytes[at++]!;
  };
  while (filled < count) {
    let head = 0;
    for (let scale = 1; ; scale *= 128) {
      const next = byte();
      head += (next & 0x7f) * scale;
      if (next < 0x80) break;
    }
    if (head % 2 === 0) {
      const end = Math.min(count, filled + head / 2);
      levels.fill(byte(), filled, end);
      if (end === filled) throw new RangeError("its levels make no sense");
      filled = end;
      continue;
    }
    // Groups of 8 values take `width` bytes each.
    const first = at * 8;
    const values = ((head - 1) / 2) * 8;
    at += (values * width) / 8;
    if (at > bytes.length || values === 0) throw new RangeError("its levels end early");
    for (let i = 0; i < values && filled < count; i++) {
      const bit = first + i * width;
      levels[filled++] = (bytes[bit >> 3]! >> (bit & 7)) & ((1 << width) - 1);
    }
  }
  return levels;
}

/** A column chunk of one page, `length` bytes with the dictionary in front of it, at the start of a file's data. */
function chunkOfPage(
  field: ThriftStruct,
  numRows: number,
  length: number,
  dictionaryLength: number,
): ThriftStruct {
  const meta = new Map(need(field, ColumnChunk.metaData).value as ThriftStruct)
    .set(ColumnMetaData.numValues, i64(numRows))
    .set(ColumnMetaData.totalCompressedSize, i64(length))
    .set(ColumnMetaData.dataPageOffset, i64(MAGIC.length + dictionaryLength));
  if (dictionaryLength === 0) meta.delete(ColumnMetaData.dictionaryPageOffset);
  else meta.set(ColumnMetaData.dictionaryPageOffset, i64(MAGIC.length));
  return new Map([[ColumnChunk.metaData, { type: ThriftType.struct, value: meta }]]);
}

/** The same column chunk, `by` bytes further on, without its optional indexes, filters and statistics. */
function moveChunk(field: ThriftStruct, by: number): ThriftStruct {
  const meta = new Map(
    [...(need(field, ColumnChunk.metaData).value as ThriftStruct)].filter(([id]) =>
      KEPT_COLUMN_FIELDS.has(id),
    ),
  );
  for (const id of [ColumnMetaData.dataPageOffset, ColumnMetaData.dictionaryPageOffset]) {
    const offset = meta.get(id);
    if (offset === undefined) continue;
    if (offset.value === 0) meta.delete(id);
    else meta.set(id, i64((offset.value as number) + by));
  }
  return new Map([
    [ColumnChunk.fileOffset, i64(0)],
    [ColumnChunk.metaData, { type: ThriftType.struct, value: meta }],
  ]);
}
