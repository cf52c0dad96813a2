/**
 * Files in Node: writing that never leaves half a file, and weights read and written without holding a file in memory.
 * Reached through `@wgrad/models/node`; nothing that runs in a browser imports this.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  expectTensorBytes,
  headerByteLength,
  layoutSafetensors,
  parseSafetensorsHeader,
  parseShardIndex,
  planShards,
  SafetensorsError,
  type SafetensorsHeader,
  shardIndexFileName,
  type TensorInfo,
  type TensorSpec,
  type TensorView,
  tensorInfo,
} from "@wgrad/tensor";
import { FileError } from "./errors.js";

/** Largest single read or write; Node refuses more than 2 GiB at once. */
const pieceBytes = 64 * 2 ** 20;

function errorCode(error: unknown): string | undefined {
  return (error as { code?: string } | null)?.code;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function formatBytes(bytes: number): string {
  const exact = `${bytes} bytes`;
  return bytes < 1e6 ? exact : `${exact} (${(bytes / 1e6).toFixed(1)} MB)`;
}

/** A file's text, or undefined if there is none. @throws FileError `E_FILE_READ`. */
export async function readTextIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return undefined;
    throw new FileError("E_FILE_READ", path, `cannot be read (${reasonOf(cause)}).`, { cause });
  }
}

/** A parsed JSON file. @throws FileError `E_FILE_MISSING`, `E_FILE_READ` or `E_FILE_JSON`. */
export async function readJsonFile<T>(path: string): Promise<T> {
  const text = await readTextIfThere(path);
  if (text === undefined) throw new FileError("E_FILE_MISSING", path, "there is no such file.");
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new FileError("E_FILE_JSON", path, `not JSON (${reasonOf(cause)}). Download or save it again.`, {
      cause,
    });
  }
}

/** What a file is to contain: text, bytes, or pieces of bytes that are fetched one after the other. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A file written in full under another name, not yet in its place. */
interface StagedFile {
  /** Puts it in its place, replacing what is there. */
  commit(): Promise<void>;
  /** Removes it. */
  discard(): Promise<void>;
}

async function* pieces(content: FileContent): AsyncGenerator<Uint8Array> {
  if (typeof content === "string") yield new TextEncoder().encode(content);
  else if (content instanceof Uint8Array) yield content;
  else yield* content;
}

async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let at = 0;
  while (at < bytes.byteLength) {
    const { bytesWritten } = await handle.write(bytes, at, Math.min(pieceBytes, bytes.byteLength - at));
    at += bytesWritten;
  }
}

async function stage(
  path: string,
  content: FileContent,
  expectedBytes: number | undefined,
): Promise<StagedFile> {
  const temporary = join(
    dirname(path),
    `.${basename(path)}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`,
  );
  const discard = () => rm(temporary, { force: true });
  let needed = expectedBytes;
  if (typeof content === "string") needed = Buffer.byteLength(content);
  else if (content instanceof Uint8Array) needed = content.byteLength;
  let written = 0;
  let source: unknown;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(temporary, "wx");
    try {
      const iterator = pieces(content);
      for (;;) {
        let next: IteratorResult<Uint8Array>;
        try {
          next = await iterator.next();
        } catch (error) {
          source = error;
          throw error;
        }
        if (next.done) break;
        await writeFully(handle, next.value);
        written += next.value.byteLength;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    await discard().catch(() => {});
    // A failure of whoever makes the content is that one's to explain.
    if (source !== undefined && error === source) throw error;
    throw await writeError(error, path, needed, written);
  }
  return {
    discard,
    async commit() {
      try {
        await rename(temporary, path);
      } catch (error) {
        await discard().catch(() => {});
        throw await writeError(error, path, needed, written);
      }
      await syncFolder(dirname(path));
    },
  };
}

/** Makes a rename survive a power cut, where the system lets a folder be flushed. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows and some network file systems cannot; the rename itself has happened.
  }
}

/** The error for a file that could not be written, with what the disk says. */
export async function writeError(
  cause: unknown,
  path: string,
  needed: number | undefined,
  written: number,
): Promise<FileError> {
  const before = await stat(path).catch(() => undefined);
  const old = before?.isFile() ? "The file that was there is unchanged." : "No file was left behind.";
  const code = errorCode(cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    const disk = await statfs(dirname(path)).catch(() => undefined);
    const free = disk === undefined ? "" : `, ${formatBytes(disk.bavail * disk.bsize)} are free`;
    const size =
      needed === undefined ? `failed after ${formatBytes(written)}` : `needs ${formatBytes(needed)}`;
    const what = code === "EDQUOT" ? "the disk quota is used up" : "the disk is full";
    return new FileError(
      "E_FILE_FULL",
      path,
      `${what}: writing ${size}${free}. ${old} Make room and save again.`,
      { cause },
    );
  }
  return new FileError("E_FILE_WRITE", path, `cannot be written (${reasonOf(cause)}). ${old}`, { cause });
}

/**
 * Writes a file under a temporary name beside it, flushes it to the disk and renames it: at every moment the path holds the
 * old file or the new one, whole. Folders are made as needed.
 * @param options `bytes`: size of a content that comes in pieces, for the message if the disk is full.
 * @throws FileError `E_FILE_FULL` or `E_FILE_WRITE`; the temporary file is removed and the old file intact.
 */
export async function writeFileAtomic(
  path: string,
  content: FileContent,
  options: { bytes?: number } = {},
): Promise<void> {
  const staged = await stage(path, content, options.bytes);
  await staged.commit();
}

/** `writeFileAtomic` of JSON, two blanks deep, with a newline at the end, as Hugging Face's own tools write it. */
export async function writeJsonFile(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Settings for which transformers 5 refuses a whole number: it wants `1.0`, which JSON.stringify writes as `1`. */
const wholeFloat = /^(\s*"(?:initializer_factor|initializer_range|layer_norm_eps)": -?\d+)(,?)$/gm;

/** `config.json` of a model, so that transformers reads it. */
export async function writeConfigFile(path: string, config: Record<string, unknown>): Promise<void> {
  const text = JSON.stringify(config, null, 2).replace(wholeFloat, "$1.0$2");
  await writeFileAtomic(path, `${text}\n`);
}

async function readFully(handle: FileHandle, path: string, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  let at = 0;
  while (at < bytes.byteLength) {
    const { bytesRead } = await handle.read(
      bytes,
      at,
      Math.min(pieceBytes, bytes.byteLength - at),
      begin + at,
    );
    if (bytesRead === 0) {
      throw new FileError(
        "E_FILE_TRUNCATED",
        path,
        `ends at byte ${begin + at}, wanted bytes ${begin} to ${end}. It was changed while being read, or the disk failed.`,
      );
    }
    at += bytesRead;
  }
  return bytes;
}

/** Weights on disk, read tensor by tensor. Close it, or declare it with `await using`. */
export interface WeightsReader extends AsyncDisposable {
  /** Every tensor by name; `file` is where it lies. */
  readonly tensors: ReadonlyMap<string, TensorInfo & { file: string }>;
  /** `__metadata__` of the (first) file. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Reads one tensor. @throws SafetensorsError `E_SAFETENSORS_NAME` if there is none of this name. */
  read(name: string): Promise<TensorView>;
  close(): Promise<void>;
}

interface OpenFile {
  path: string;
  handle: FileHandle;
  header: SafetensorsHeader;
}

async function openOne(path: string): Promise<OpenFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (cause) {
    throw errorCode(cause) === "ENOENT"
      ? new FileError("E_FILE_MISSING", path, "there is no such file.", { cause })
      : new FileError("E_FILE_READ", path, `cannot be opened (${reasonOf(cause)}).`, { cause });
  }
  try {
    const { size: fileBytes } = await handle.stat();
    const source = { file: path, fileBytes };
    const end = headerByteLength(await readFully(handle, path, 0, Math.min(8, fileBytes)), source);
    const header = parseSafetensorsHeader(await readFully(handle, path, 0, end), source);
    return { path, handle, header };
  } catch (error) {
    await handle.close();
    throw errorCode(error) === "EISDIR"
      ? new FileError("E_FILE_READ", path, "is a folder, not a file.", { cause: error })
      : error;
  }
}

function readerOf(files: readonly OpenFile[], shown: string): WeightsReader {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const tensors = new Map<string, TensorInfo & { file: string }>();
  for (const { path, header } of files) {
    for (const info of header.tensors.values()) tensors.set(info.name, { ...info, file: path });
  }
  const close = async () => {
    await Promise.all(files.map(({ handle }) => handle.close()));
  };
  return {
    tensors,
    metadata: files[0]?.header.metadata ?? {},
    async read(name) {
      const { file, begin, end, dtype, shape } = tensorInfo({ tensors }, name, shown) as TensorInfo & {
        file: string;
      };
      return { dtype, shape, bytes: await readFully(byPath.get(file)!.handle, file, begin, end) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/**
 * Opens one safetensors file. Only its header is read and checked now, tensors when asked for.
 * @throws FileError or SafetensorsError, naming the file.
 */
export async function openSafetensors(path: string): Promise<WeightsReader> {
  return readerOf([await openOne(path)], path);
}

/**
 * Opens the weights of a folder: `model.safetensors`, or the files that `model.safetensors.index.json` lists.
 * @param base `"model"`, or for example `"adapter_model"`.
 * @throws FileError `E_FILE_MISSING`, saying what the folder has instead; SafetensorsError for a damaged file.
 */
export async function openWeights(folder: string, base = "model"): Promise<WeightsReader> {
  const single = join(folder, `${base}.safetensors`);
  const indexPath = join(folder, shardIndexFileName(base));
  const isThere = (path: string) =>
    stat(path)
      .then(() => true)
      .catch(() => false);
  if (await isThere(single)) return openSafetensors(single);
  const text = await readTextIfThere(indexPath);
  if (text === undefined) {
    const names = await readdir(folder).catch(() => []);
    const other = names.filter((name) => /\.(bin|pt|pth|h5|onnx|msgpack|safetensors)$/.test(name));
    const hint = other.some((name) => name.endsWith(".bin"))
      ? " Convert it in Python: AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)."
      : "";
    throw new FileError(
      "E_FILE_MISSING",
      single,
      `there is no such file, and no ${basename(indexPath)}. ${other.length > 0 ? `The folder has ${other.join(", ")}.` : "The folder has no weights."}${hint}`,
    );
  }
  const { weight_map: map } = parseShardIndex(text, indexPath);
  const files: OpenFile[] = [];
  try {
    for (const name of [...new Set(Object.values(map))].sort()) files.push(await openOne(join(folder, name)));
    for (const [tensor, name] of Object.entries(map)) {
      if (!files.find(({ path }) => path === join(folder, name))!.header.tensors.has(tensor)) {
        const message = `the index says it is in ${name}, but it is not there. Download or save both again.`;
        throw new SafetensorsError("E_SAFETENSORS_INDEX", message, { file: indexPath, tensor });
      }
    }
  } catch (error) {
    await Promise.all(files.map(({ handle }) => handle.close()));
    throw error;
  }
  return readerOf(files, indexPath);
}

/** A tensor to be written. `bytes` may be fetched only when its turn comes, so that not all need to be in memory. */
export interface TensorSource extends TensorSpec {
  bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>);
}

/** Options of `saveSafetensors`. */
export interface SaveSafetensorsOptions {
  /** `__metadata__`. Default `{ format: "pt" }`. */
  metadata?: Readonly<Record<string, string>>;
}

function stageSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> | undefined,
): Promise<StagedFile> {
  const layout = layoutSafetensors(tensors, metadata, { file: path });
  const sources = new Map(tensors.map((tensor) => [tensor.name, tensor.bytes]));
  async function* content(): AsyncGenerator<Uint8Array> {
    yield layout.header;
    for (const info of layout.tensors) {
      const source = sources.get(info.name)!;
      const bytes = typeof source === "function" ? await source() : source;
      expectTensorBytes(info, bytes, path);
      yield bytes;
    }
  }
  return stage(path, content(), layout.fileBytes);
}

/**
 * Writes one safetensors file, tensor after tensor, whole or not at all.
 * @param tensors In any order; the file has the reference's.
 * @throws FileError if it cannot be written; SafetensorsError if a tensor's bytes do not fit its shape.
 */
export async function saveSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  options: SaveSafetensorsOptions = {},
): Promise<void> {
  const staged = await stageSafetensors(path, tensors, options.metadata);
  await staged.commit();
}

/** Options of `saveWeights`. */
export interface SaveWeightsOptions extends SaveSafetensorsOptions {
  /** Bytes of tensors a file may hold, for example `"200MB"`. Default `"5GB"`. */
  maxShardSize?: string | number;
  /** Start of the files' names. Default `"model"`. */
  base?: string;
}

/**
 * Writes weights into a folder: `model.safetensors`, or several files and their index if they exceed `maxShardSize`.
 * All files are written in full before the first takes its place; weights of an earlier save that are not part of this one
 * are removed last. A failure leaves the earlier save as it was.
 * @param tensors In the order of the state dict, by which they are distributed over files.
 * @returns Names of the files.
 */
export async function saveWeights(
  folder: string,
  tensors: readonly TensorSource[],
  options: SaveWeightsOptions = {},
): Promise<string[]> {
  const { base = "model", maxShardSize = "5GB", metadata } = options;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const sizes = layoutSafetensors(tensors, metadata, { file: join(folder, `${base}.safetensors`) }).tensors;
  const sizeOf = new Map(sizes.map(({ name, begin, end }) => [name, end - begin]));
  const plan = planShards(
    tensors.map(({ name }) => ({ name, bytes: sizeOf.get(name)! })),
    maxShardSize,
    base,
  );
  const staged: StagedFile[] = [];
  const names = plan.shards.map(({ file }) => file);
  try {
    for (const shard of plan.shards) {
      const members = shard.names.map((name) => byName.get(name)!);
      staged.push(await stageSafetensors(join(folder, shard.file), members, metadata));
    }
    if (plan.index !== undefined) {
      const name = shardIndexFileName(base);
      staged.push(await stage(join(folder, name), `${JSON.stringify(plan.index, null, 2)}\n`, undefined));
      names.push(name);
    }
    for (const file of staged) await file.commit();
  } catch (error) {
    await Promise.all(staged.map((file) => file.discard().catch(() => {})));
    throw error;
  }
  const ours = new RegExp(
    `^${base.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(-\\d{5}-of-\\d{5})?\\.safetensors(\\.index\\.json)?$`,
  );
  for (const name of await readdir(folder)) {
    if (ours.test(name) && !names.includes(name)) await rm(join(folder, name), { force: true });
  }
  return names;
}
