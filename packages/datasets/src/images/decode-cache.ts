/** Pictures on disk as they are after the transforms without chance, so that a second epoch decodes and resamples nothing. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { threadId } from "node:worker_threads";
import type { RawImage } from "@wgrad/image";

/** Changes with whatever makes other pixels of the same bytes: decoders, resampling. */
const VERSION = "1";
const MAGIC = "WGRADPX1";
const ENDING = ".px";
/** Magic, width, height, the SHA-256 of what comes behind. */
const HEADER_BYTES = MAGIC.length + 8 + 32;

/** What a look into the cache found. */
export type Lookup = { image: RawImage } | "missing" | "damaged";

/**
 * One file a picture, in 256 folders: a header of 48 bytes and height x width x 3 bytes of RGB. Files are named by what they are
 * made of (the SHA-256 of the encoded bytes and of the settings), so that changed pictures and settings find nothing old.
 */
export class DecodeCache {
  readonly #folder: string;
  readonly #settings: string;
  #written = 0;

  /** @param settings what else than the bytes decides the pixels */
  constructor(folder: string, settings: unknown) {
    this.#folder = folder;
    this.#settings = `${VERSION}\n${JSON.stringify(settings)}\n`;
  }

  /** The name of a picture in the cache. */
  key(bytes: Uint8Array): string {
    return createHash("sha256").update(this.#settings).update(bytes).digest("hex");
  }

  get(key: string): Lookup {
    let file: Buffer;
    try {
      file = readFileSync(this.#path(key));
    } catch {
      return "missing";
    }
    if (file.length < HEADER_BYTES || file.toString("latin1", 0, MAGIC.length) !== MAGIC) return "damaged";
    const [width, height] = [file.readUInt32LE(MAGIC.length), file.readUInt32LE(MAGIC.length + 4)];
    const data = file.subarray(HEADER_BYTES);
    const isWhole = data.length === width * height * 3;
    if (!isWhole || !file.subarray(HEADER_BYTES - 32, HEADER_BYTES).equals(checksum(width, height, data))) {
      return "damaged";
    }
    return { image: { data, width, height } };
  }

  /** Writes an entry beside and renames it. @returns bytes of the file */
  set(key: string, { data, width, height }: RawImage): number {
    const path = this.#path(key);
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(MAGIC, "latin1");
    header.writeUInt32LE(width, MAGIC.length);
    header.writeUInt32LE(height, MAGIC.length + 4);
    header.set(checksum(width, height, data), HEADER_BYTES - 32);
    mkdirSync(join(this.#folder, key.slice(0, 2)), { recursive: true });
    const temporary = `${path}.${process.pid}-${threadId}-${this.#written++}.tmp`;
    try {
      // Not flushed: an entry that a power cut spoils is told by its checksum and made again.
      writeFileSync(temporary, Buffer.concat([header, data]));
      renameSync(temporary, path);
    } catch (cause) {
      rmSync(temporary, { force: true });
      throw cause;
    }
    return HEADER_BYTES + data.length;
  }

  #path(key: string): string {
    return join(this.#folder, key.slice(0, 2), key + ENDING);
  }
}

function checksum(width: number, height: number, data: Uint8Array): Buffer {
  return createHash("sha256").update(`${width}x${height}\n`).update(data).digest();
}

/** Bytes of the entries in a cache's folder, taking the first of each of its 256 folders for the size of the others. */
export function cacheSize(folder: string): number {
  let bytes = 0;
  for (const name of entriesOf(folder)) {
    const files = entriesOf(join(folder, name)).filter((file) => file.endsWith(ENDING));
    const first = files[0];
    if (first === undefined) continue;
    bytes += files.length * (statSync(join(folder, name, first), { throwIfNoEntry: false })?.size ?? 0);
  }
  return bytes;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
