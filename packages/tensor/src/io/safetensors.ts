/**
 * The safetensors format, bytes in and bytes out: no file system, no network, no GPU.
 *
 * A file is: 8 bytes little-endian header length N, N bytes of JSON (padded with spaces), then the tensors' bytes without
 * holes. Because the header comes first, a large file is read in pieces: `headerByteLength` of the first 8 bytes, then
 * `parseSafetensorsHeader`, then any tensor by its byte range. Source: https://github.com/huggingface/safetensors.
 */
import {
  elementCount,
  isSafetensorsDtype,
  type SafetensorsDtype,
  safetensorsDtypeSize,
  safetensorsDtypes,
} from "./dtypes.js";
import { SafetensorsError } from "./errors.js";

/** Longest header that the reference accepts, in bytes. */
export const maxHeaderBytes = 100_000_000;

const prefixBytes = 8;
const again = "The file is damaged or not complete: download or save it again.";

/** A tensor as it stands in a file: little-endian bytes, row-major, not copied. */
export interface TensorView {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  /** `elementCount(shape) * safetensorsDtypeSize(dtype)` bytes. */
  bytes: Uint8Array;
}

/** Where a tensor lies in its file. */
export interface TensorInfo {
  name: string;
  dtype: SafetensorsDtype;
  shape: readonly number[];
  /** First byte and the byte after the last, from the start of the file. */
  begin: number;
  end: number;
}

/** What the first bytes of a file say. */
export interface SafetensorsHeader {
  /** By name, in the order in which they lie in the file. */
  tensors: ReadonlyMap<string, TensorInfo>;
  /** `__metadata__`, for example `{ format: "pt" }`. */
  metadata: Readonly<Record<string, string>>;
  /** First byte after the header. */
  dataStart: number;
  /** Length that the whole file must have, in bytes. */
  fileBytes: number;
}

/** What is known of the file besides the bytes at hand. */
export interface SafetensorsSource {
  /** The name to use in messages, a path or a URL. */
  file?: string | undefined;
  /** Length of the whole file in bytes, if known: checked against the header. */
  fileBytes?: number | undefined;
}

/**
 * Number of bytes from the start of the file to the end of its header.
 * @param first At least the first 8 bytes of the file.
 * @throws SafetensorsError if there are fewer, or the length cannot be that of a header.
 */
export function headerByteLength(first: Uint8Array, source: SafetensorsSource = {}): number {
  const { file, fileBytes } = source;
  if (first.byteLength < prefixBytes) {
    throw new SafetensorsError(
      "E_SAFETENSORS_TRUNCATED",
      `${first.byteLength} bytes, but the length of the header alone takes ${prefixBytes}. ${again}`,
      { file },
    );
  }
  const length = new DataView(first.buffer, first.byteOffset, prefixBytes).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    const start = new TextDecoder("latin1").decode(first.subarray(0, 40)).replace(/[^\x20-\x7e]/g, ".");
    const hint = start.startsWith("PK")
      ? " It looks like a zip archive, as of torch.save: convert it with Python's safetensors."
      : start.startsWith("version")
        ? " It looks like a Git LFS pointer: fetch the file itself with `git lfs pull`."
        : "";
    throw new SafetensorsError(
      "E_SAFETENSORS_HEADER",
      `this is no safetensors file: its first 8 bytes give a header of ${length} bytes, at most ${maxHeaderBytes} are allowed.${hint || ` ${again}`}`,
      { file },
    );
  }
  const end = prefixBytes + Number(length);
  if (fileBytes !== undefined && end > fileBytes) {
    throw new SafetensorsError(
      "E_SAFETENSORS_TRUNCATED",
      `the header should end at byte ${end}, the file has ${fileBytes} bytes. ${again}`,
      { file },
    );
  }
  return end;
}

/**
 * Reads and checks a header: JSON, types, and that the byte ranges cover the data without overlap or hole.
 * @param bytes The file from its start to at least the end of its header (`headerByteLength`).
 * @param source `fileBytes` is the length of the whole file; without it a file cut short is not noticed here.
 * @throws SafetensorsError that names the file, the tensor and the numbers.
 */
export function parseSafetensorsHeader(bytes: Uint8Array, source: SafetensorsSource = {}): SafetensorsHeader {
  const { file, fileBytes } = source;
  const dataStart = headerByteLength(bytes, source);
  if (bytes.byteLength < dataStart) {
    throw new SafetensorsError(
      "E_SAFETENSORS_TRUNCATED",
      `the header should end at byte ${dataStart}, only ${bytes.byteLength} bytes are there. ${again}`,
      { file },
    );
  }
  const header = parseJson(bytes.subarray(prefixBytes, dataStart), file);
  const metadata: Record<string, string> = {};
  const infos: TensorInfo[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") {
      for (const [key, value] of Object.entries(record(entry, file, name))) {
        if (typeof value !== "string") {
          throw new SafetensorsError(
            "E_SAFETENSORS_HEADER",
            `__metadata__.${key} is not a string. ${again}`,
            { file },
          );
        }
        metadata[key] = value;
      }
    } else {
      infos.push(parseEntry(name, record(entry, file, name), dataStart, file));
    }
  }
  infos.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const end = checkRanges(infos, dataStart, file);
  if (fileBytes !== undefined && end !== fileBytes) {
    const last = infos.at(-1);
    throw end > fileBytes
      ? new SafetensorsError(
          "E_SAFETENSORS_TRUNCATED",
          `the tensors end at byte ${end}, the file has ${fileBytes} bytes: ${end - fileBytes} are missing. ${again}`,
          { file, tensor: last?.name },
        )
      : new SafetensorsError(
          "E_SAFETENSORS_OFFSETS",
          `the tensors end at byte ${end}, the file goes on to byte ${fileBytes}. ${again}`,
          { file },
        );
  }
  return { tensors: new Map(infos.map((info) => [info.name, info])), metadata, dataStart, fileBytes: end };
}

function parseJson(bytes: Uint8Array, file: string | undefined): Record<string, unknown> {
  if (bytes[0] !== 0x7b) {
    throw new SafetensorsError("E_SAFETENSORS_HEADER", `the header does not start with "{". ${again}`, {
      file,
    });
  }
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SafetensorsError(
      "E_SAFETENSORS_HEADER",
      `the header is not JSON in UTF-8 (${reason}). ${again}`,
      { file },
      { cause },
    );
  }
  const header = record(value, file, "the header");
  const seen = new Set<string>();
  for (const key of topLevelKeys(text)) {
    if (seen.has(key))
      throw new SafetensorsError("E_SAFETENSORS_HEADER", `named twice in the header. ${again}`, {
        file,
        tensor: key,
      });
    seen.add(key);
  }
  return header;
}

/** Keys of a JSON object as they stand in its text, duplicates included (`JSON.parse` keeps only the last). */
function topLevelKeys(json: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i);
    if (c === 0x7b || c === 0x5b) depth++;
    else if (c === 0x7d || c === 0x5d) depth--;
    else if (c === 0x22) {
      const start = i++;
      while (json.charCodeAt(i) !== 0x22) i += json.charCodeAt(i) === 0x5c ? 2 : 1;
      if (depth !== 1) continue;
      let next = i + 1;
      while (" \t\r\n".includes(json.charAt(next)) && next < json.length) next++;
      if (json.charAt(next) === ":") keys.push(JSON.parse(json.slice(start, i + 1)));
    }
  }
  return keys;
}

function record(value: unknown, file: string | undefined, name: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new SafetensorsError("E_SAFETENSORS_HEADER", `${name} is not a JSON object. ${again}`, { file });
  }
  return value as Record<string, unknown>;
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function parseEntry(
  name: string,
  entry: Record<string, unknown>,
  dataStart: number,
  file: string | undefined,
): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = entry;
  const where = { file, tensor: name };
  if (!isSafetensorsDtype(dtype)) {
    throw new SafetensorsError(
      "E_SAFETENSORS_DTYPE",
      `dtype ${JSON.stringify(dtype)} is not read here; known are ${safetensorsDtypes.join(", ")}. Convert the file in Python first.`,
      where,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) {
    throw new SafetensorsError(
      "E_SAFETENSORS_HEADER",
      `shape ${JSON.stringify(shape)} is not a list of sizes. ${again}`,
      where,
    );
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw new SafetensorsError(
      "E_SAFETENSORS_HEADER",
      `data_offsets ${JSON.stringify(offsets)} are not two byte positions. ${again}`,
      where,
    );
  }
  const [begin, end] = offsets as [number, number];
  const want = elementCount(shape) * safetensorsDtypeSize(dtype);
  if (end - begin !== want) {
    throw new SafetensorsError(
      "E_SAFETENSORS_LENGTH",
      `shape [${shape.join(", ")}] of ${dtype} takes ${want} bytes, data_offsets [${begin}, ${end}] hold ${end - begin}. ${again}`,
      where,
    );
  }
  return { name, dtype, shape: [...shape], begin: dataStart + begin, end: dataStart + end };
}

/** Checks that sorted ranges follow one another; returns where the last ends. */
function checkRanges(infos: readonly TensorInfo[], dataStart: number, file: string | undefined): number {
  let cursor = dataStart;
  let before = "the header";
  for (const { name, begin, end } of infos) {
    if (begin !== cursor) {
      const what =
        begin < cursor ? `overlaps ${before}, which ends` : `leaves a hole after ${before}, which ends`;
      throw new SafetensorsError(
        "E_SAFETENSORS_OFFSETS",
        `starts at byte ${begin} and ${what} at byte ${cursor}. ${again}`,
        {
          file,
          tensor: name,
        },
      );
    }
    cursor = end;
    before = `"${name}"`;
  }
  return cursor;
}

/** A whole file in memory. Tensors are views of the given bytes, not copies. */
export interface SafetensorsFile extends SafetensorsHeader {
  /** @throws SafetensorsError `E_SAFETENSORS_NAME`, with names that are alike. */
  get(name: string): TensorView;
}

/**
 * Opens a whole file that is in memory.
 * @param bytes The file. It must stay unchanged as long as its tensors are in use.
 * @param source Its name, for messages.
 */
export function readSafetensors(
  bytes: Uint8Array,
  source: { file?: string | undefined } = {},
): SafetensorsFile {
  const header = parseSafetensorsHeader(bytes, { file: source.file, fileBytes: bytes.byteLength });
  return {
    ...header,
    get(name) {
      const info = tensorInfo(header, name, source.file);
      return { dtype: info.dtype, shape: info.shape, bytes: bytes.subarray(info.begin, info.end) };
    },
  };
}

/** The place of one tensor. @throws SafetensorsError `E_SAFETENSORS_NAME`, with names that are alike. */
export function tensorInfo(
  header: Pick<SafetensorsHeader, "tensors">,
  name: string,
  file?: string,
): TensorInfo {
  const info = header.tensors.get(name);
  if (info !== undefined) return info;
  const tail = name.split(".").slice(-2).join(".");
  const near = [...header.tensors.keys()].filter((key) => key.endsWith(tail)).slice(0, 3);
  const hint = near.length > 0 ? `There is ${near.map((key) => `"${key}"`).join(", ")}.` : "";
  throw new SafetensorsError(
    "E_SAFETENSORS_NAME",
    `not in this file, which has ${header.tensors.size} tensors. ${hint || "Is it the file of another model?"}`,
    { file, tensor: name },
  );
}

/** A tensor to be written, without its bytes. */
export interface TensorSpec {
  name: string;
  dtype: SafetensorsDtype;
  shape: readonly number[];
}

/** A file laid out but not yet written: the header's bytes and the order in which tensors follow it. */
export interface SafetensorsLayout {
  /** Length prefix, JSON and padding: the first bytes of the file. */
  header: Uint8Array;
  /** Tensors in file order; `begin` and `end` count from the start of the file. */
  tensors: readonly TensorInfo[];
  /** Length of the whole file in bytes. */
  fileBytes: number;
}

const byName = new TextEncoder();

/** Order of two names by their UTF-8 bytes, as Rust compares strings; `<` would compare UTF-16 units. */
function compareNames(a: string, b: string): number {
  const left = byName.encode(a);
  const right = byName.encode(b);
  for (let i = 0; i < left.length && i < right.length; i++) {
    if (left[i] !== right[i]) return left[i]! - right[i]!;
  }
  return left.length - right.length;
}

/**
 * Lays out a file as the reference does: widest types first, then by name, header padded with spaces to a multiple of 8.
 * @param specs In any order; a name may stand only once.
 * @param metadata Strings only. `{ format: "pt" }` is what transformers expects.
 */
export function layoutSafetensors(
  specs: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
  source: { file?: string | undefined } = {},
): SafetensorsLayout {
  const rank = (spec: TensorSpec) => safetensorsDtypes.indexOf(spec.dtype);
  const sorted = [...specs].sort((a, b) => rank(b) - rank(a) || compareNames(a.name, b.name));
  const entries: string[] = [];
  if (Object.keys(metadata).length > 0) entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  const ranges: { spec: TensorSpec; begin: number; end: number }[] = [];
  const seen = new Set<string>();
  let cursor = 0;
  for (const spec of sorted) {
    const { name, dtype } = spec;
    const shape: readonly unknown[] = spec.shape;
    const where = { file: source.file, tensor: name };
    if (seen.has(name) || name === "__metadata__") {
      throw new SafetensorsError(
        "E_SAFETENSORS_HEADER",
        "this name is taken: every tensor needs its own.",
        where,
      );
    }
    if (!shape.every(isSize)) {
      throw new SafetensorsError(
        "E_SAFETENSORS_LENGTH",
        `shape [${shape.join(", ")}] is not a list of sizes.`,
        where,
      );
    }
    seen.add(name);
    const end = cursor + elementCount(spec.shape) * safetensorsDtypeSize(dtype);
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":${JSON.stringify(shape)},"data_offsets":[${cursor},${end}]}`,
    );
    ranges.push({ spec, begin: cursor, end });
    cursor = end;
  }
  const json = new TextEncoder().encode(`{${entries.join(",")}}`);
  const padded = Math.ceil(json.byteLength / 8) * 8;
  const header = new Uint8Array(prefixBytes + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, prefixBytes);
  const tensors = ranges.map(({ spec, begin, end }) => ({
    name: spec.name,
    dtype: spec.dtype,
    shape: [...spec.shape],
    begin: header.byteLength + begin,
    end: header.byteLength + end,
  }));
  return { header, tensors, fileBytes: header.byteLength + cursor };
}

/** Checks that `bytes` are as many as `info` takes. @throws SafetensorsError `E_SAFETENSORS_LENGTH`. */
export function expectTensorBytes(info: TensorInfo, bytes: Uint8Array, file?: string): void {
  if (bytes.byteLength === info.end - info.begin) return;
  throw new SafetensorsError(
    "E_SAFETENSORS_LENGTH",
    `shape [${info.shape.join(", ")}] of ${info.dtype} takes ${info.end - info.begin} bytes, got ${bytes.byteLength}.`,
    { file, tensor: info.name },
  );
}

/**
 * The bytes of a safetensors file. Holds all of it in memory; `layoutSafetensors` serves a caller that streams.
 * @param tensors By name. Bytes are little-endian and row-major.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorView> | Readonly<Record<string, TensorView>>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Uint8Array {
  const views =
    tensors instanceof Map ? (tensors as ReadonlyMap<string, TensorView>) : new Map(Object.entries(tensors));
  const layout = layoutSafetensors(
    [...views].map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
    metadata,
  );
  const file = new Uint8Array(layout.fileBytes);
  file.set(layout.header);
  for (const info of layout.tensors) {
    const { bytes } = views.get(info.name)!;
    expectTensorBytes(info, bytes);
    file.set(bytes, info.begin);
  }
  return file;
}
