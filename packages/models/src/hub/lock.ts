/**
 * A lock between processes that is a courtesy, so that two of them do not fetch the same file twice. Nothing depends on it:
 * each writes to a file of its own, checks it and renames it.
 * (Python's lock is flock(2), which Node cannot take; its lock files have other names.)
 */
import { createHash } from "node:crypto";
import { mkdir, open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const BEAT = 5_000;
const STALE = 30_000;
const POLL = 200;

/** Names this machine where several share a cache. */
export const hostKey = createHash("sha1").update(hostname()).digest("hex").slice(0, 8);

/** Whether a process of this machine is gone; false where that cannot be known. */
export function isDead(host: string, pid: number): boolean {
  if (host !== hostKey || !Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

async function isStale(path: string): Promise<boolean> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) return false;
  if (Date.now() - info.mtimeMs > STALE) return true;
  const [host = "", pid = ""] = (await readFile(path, "utf8").catch(() => "")).split(" ");
  return isDead(host, Number(pid));
}

/**
 * Runs `run` while holding the lock.
 * @param isDone asked while another holds it: whether there is nothing left to do. Then `run` is not called.
 */
export async function withLock(
  path: string,
  isDone: () => Promise<boolean>,
  run: () => Promise<void>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  for (;;) {
    const handle = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    if (handle) {
      try {
        await handle.writeFile(`${hostKey} ${process.pid}`);
      } finally {
        await handle.close();
      }
      break;
    }
    if (await isDone()) return;
    if (await isStale(path)) await rm(path, { force: true });
    else await sleep(POLL);
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, BEAT).unref();
  try {
    await run();
  } finally {
    clearInterval(beat);
    await rm(path, { force: true });
  }
}
