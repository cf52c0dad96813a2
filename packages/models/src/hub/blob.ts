/**
 * Fetches the content of one file into the cache. `@huggingface/hub` offers `downloadFileToCacheDir`, which starts from the
 * beginning after every break, checks neither length nor hash, lets two processes write to the same file and reports no
 * progress; so the bytes are fetched here.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HubError } from "../errors.js";
import { writeError } from "../files.js";
import { type HubClient, hostOf, networkCause, Watchdog } from "./client.js";
import { hostKey, isDead, withLock } from "./lock.js";

/** A file to fetch. */
export interface BlobRequest {
  client: HubClient;
  url: string;
  /** Its name in the repository, for messages. */
  file: string;
  /** Bytes. */
  size: number;
  /** sha256 of a large file, 64 digits; git's sha1 of any other, 40 digits. */
  hash: string;
  /** Where it goes. */
  blob: string;
  lock: string;
  onProgress: (loaded: number) => void;
}

/** Tries in a row that bring no further byte before giving up. */
const FRUITLESS = 5;
const DAY = 86_400_000;
let serial = 0;

/**
 * Fetches, checks and puts in place; goes on where an earlier try stopped. Does nothing if it is there.
 * @throws HubError `E_HUB_DOWNLOAD`, `E_HUB_CHECKSUM`, `E_HUB_RATE_LIMIT`; FileError
 */
export async function fetchBlob(request: BlobRequest): Promise<void> {
  const { blob, size } = request;
  const isDone = async () => (await stat(blob).catch(() => undefined))?.size === size;
  if (await isDone()) return;
  await mkdir(dirname(blob), { recursive: true });
  await withLock(request.lock, isDone, async () => {
    if (await isDone()) return;
    const partial = await claim(blob);
    try {
      await fill(partial, request);
      await rename(partial, blob).catch(async (error) => {
        // Somebody took this process for dead and finished the file in its place.
        if (!(await isDone())) throw error;
      });
    } catch (error) {
      await park(partial, blob);
      throw (error as NodeJS.ErrnoException)?.syscall ? await writeError(error, blob, size, 0) : error;
    }
  });
}

/** A file of this process's own to write to: one that a dead process left behind, whole as far as it goes, or a new name. */
async function claim(blob: string): Promise<string> {
  const folder = dirname(blob);
  const mine = `${blob}.${hostKey}-${process.pid}-${serial++}.incomplete`;
  const abandoned: { path: string; size: number }[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(blob)}.`) || !name.endsWith(".incomplete")) continue;
    const path = join(folder, name);
    const info = await stat(path).catch(() => undefined);
    const owner = name.slice(basename(blob).length + 1, -".incomplete".length);
    if (info && isAbandoned(owner, Date.now() - info.mtimeMs)) abandoned.push({ path, size: info.size });
  }
  abandoned.sort((a, b) => b.size - a.size);
  let taken = false;
  for (const { path } of abandoned) {
    if (taken) await rm(path, { force: true });
    // A rename succeeds for one process alone.
    else
      taken = await rename(path, mine).then(
        () => true,
        () => false,
      );
  }
  return mine;
}

/** @param owner what stands between the hash and `.incomplete`: nothing for a file of huggingface_hub before 1.0 */
function isAbandoned(owner: string, age: number): boolean {
  if (owner === "parked") return true;
  if (owner === "") return age > 60_000;
  const [host, pid] = owner.split("-");
  return pid !== undefined && (isDead(host!, Number(pid)) || (host !== hostKey && age > DAY));
}

/** Keeps what has arrived for the next try. */
async function park(partial: string, blob: string): Promise<void> {
  const size = (await stat(partial).catch(() => undefined))?.size ?? 0;
  if (size > 0) await rename(partial, `${blob}.parked.incomplete`).catch(() => {});
  else await rm(partial, { force: true });
}

/** A file on its way: how far it has come and the hash of that. */
interface Progress {
  handle: FileHandle;
  at: number;
  hash: Hash;
}

function newHash({ hash, size }: BlobRequest): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

async function startOver(progress: Progress, request: BlobRequest): Promise<void> {
  await progress.handle.truncate(0);
  progress.at = 0;
  progress.hash = newHash(request);
}

async function fill(partial: string, request: BlobRequest): Promise<void> {
  const { file, size, hash, client } = request;
  const handle = await open(partial, "a+").then(async (made) => {
    await made.close();
    return open(partial, "r+");
  });
  try {
    const progress: Progress = { handle, at: 0, hash: newHash(request) };
    const { size: kept } = await handle.stat();
    if (kept > size) await startOver(progress, request);
    else if (kept > 0) await readBack(progress, kept);
    let isResumed = progress.at > 0;
    for (let fruitless = 0; ; ) {
      if (progress.at < size) {
        const before = progress.at;
        const broken = await pull(progress, request);
        if (progress.at < size) {
          fruitless = progress.at > before ? 1 : fruitless + 1;
          if (fruitless >= FRUITLESS) {
            throw new HubError(
              "E_HUB_DOWNLOAD",
              `${file}: ${progress.at} of ${size} bytes arrived from ${hostOf(request.url)} (${broken}). Start again: it goes on from there.`,
            );
          }
          await client.pause(fruitless, `${file}: ${broken}`);
          continue;
        }
      }
      const found = progress.hash.digest("hex");
      if (found === hash) break;
      await startOver(progress, request);
      if (!isResumed) {
        throw new HubError(
          "E_HUB_CHECKSUM",
          `${file}: all ${size} bytes arrived, but their ${hash.length === 64 ? "sha256" : "git sha1"} is ${found}, not ${hash}. ` +
            "They were changed on the way or on the server, and are thrown away. Try again, or another HF_ENDPOINT.",
        );
      }
      // What an earlier try had left was not what it should have been.
      isResumed = false;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Hashes what an earlier try has left. */
async function readBack(progress: Progress, kept: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(2 ** 20);
  while (progress.at < kept) {
    const { bytesRead } = await progress.handle.read(
      buffer,
      0,
      Math.min(buffer.length, kept - progress.at),
      progress.at,
    );
    if (bytesRead === 0) break;
    progress.hash.update(buffer.subarray(0, bytesRead));
    progress.at += bytesRead;
  }
}

/**
 * One request: writes what arrives.
 * @returns In words, why it ended, if it did so too early
 */
async function pull(progress: Progress, request: BlobRequest): Promise<string> {
  const { client, url, file, size, onProgress } = request;
  using watchdog = new Watchdog();
  let response: Response;
  try {
    const range: Record<string, string> = progress.at > 0 ? { range: `bytes=${progress.at}-` } : {};
    // Compressed on the way, neither lengths nor ranges would be those of the file.
    response = await client.send(url, { "accept-encoding": "identity", ...range }, watchdog);
  } catch (error) {
    if (error instanceof HubError) throw error;
    return networkCause(error);
  }
  if (response.status === 416 && progress.at > 0) {
    await response.body?.cancel();
    await startOver(progress, request);
    return "the range was refused";
  }
  if (response.status !== 200 && response.status !== 206) {
    const { status } = response;
    await response.body?.cancel();
    throw new HubError("E_HUB_DOWNLOAD", `${file}: ${hostOf(url)} answered ${status}.`, {
      cause: { status },
    });
  }
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 200) {
    if (progress.at > 0) await startOver(progress, request);
  } else if (Number(range?.[1]) !== progress.at) {
    await response.body?.cancel();
    await startOver(progress, request);
    return "another range came than was asked for";
  }
  const isEncoded = (response.headers.get("content-encoding") ?? "identity") !== "identity";
  const announced = Number(response.headers.get("content-length") ?? Number.NaN);
  const total = response.status === 200 ? announced : range?.[2] === "*" ? Number.NaN : Number(range?.[2]);
  if (!isEncoded && !Number.isNaN(total) && total !== size) {
    await response.body?.cancel();
    throw wrongLength(request, total);
  }
  const reader = response.body?.getReader();
  if (!reader) return "an empty answer";
  for (;;) {
    let piece: Awaited<ReturnType<typeof reader.read>>;
    try {
      piece = await reader.read();
    } catch (error) {
      return `the connection broke: ${networkCause(error)}`;
    }
    if (piece.done) return "the connection ended early";
    watchdog.feed();
    const bytes: Uint8Array = piece.value;
    if (progress.at + bytes.byteLength > size) {
      await reader.cancel().catch(() => {});
      await startOver(progress, request);
      throw wrongLength(request, undefined);
    }
    for (let written = 0; written < bytes.byteLength; ) {
      const { bytesWritten } = await progress.handle.write(
        bytes,
        written,
        bytes.byteLength - written,
        progress.at + written,
      );
      written += bytesWritten;
    }
    progress.hash.update(bytes);
    progress.at += bytes.byteLength;
    onProgress(progress.at);
    if (progress.at === size) {
      // What may still come would be too much, and is nobody's.
      await reader.cancel().catch(() => {});
      return "";
    }
  }
}

function wrongLength({ file, url, size }: BlobRequest, found: number | undefined): HubError {
  return new HubError(
    "E_HUB_DOWNLOAD",
    `${file}: ${hostOf(url)} sends ${found === undefined ? "more than" : `${found} bytes in place of`} the ${size} bytes that the hub lists. ` +
      "Nothing of it is kept. Try again, or another HF_ENDPOINT.",
  );
}
