/**
 * The folders of checkpoints: `checkpoint-<step>` is always whole. A new one is written as `checkpoint-<step>.tmp`; one that it
 * replaces is called `checkpoint-<step>.old` meanwhile, one that is being removed `checkpoint-<step>.removed`. Whatever moment a run
 * dies in, `recoverCheckpoints` finds every checkpoint that was complete.
 */
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { TrainerError } from "./errors.js";

const NAME = /^checkpoint-(\d+)(\.tmp|\.old|\.removed)?$/;

interface Found {
  readonly name: string;
  readonly step: number;
  /** "" for a checkpoint. */
  readonly suffix: string;
}

async function find(outputDir: string): Promise<Found[]> {
  const entries = await readdir(outputDir, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => {
    const match = entry.isDirectory() ? NAME.exec(entry.name) : null;
    return match ? [{ name: entry.name, step: Number(match[1]), suffix: match[2] ?? "" }] : [];
  });
}

/** The checkpoints of a run, oldest step first. */
export async function listCheckpoints(outputDir: string): Promise<string[]> {
  const found = await find(outputDir);
  return found
    .filter(({ suffix }) => suffix === "")
    .sort((a, b) => a.step - b.step)
    .map(({ name }) => join(outputDir, name));
}

/**
 * Tidies up after a run that died: a checkpoint that was being replaced gets its name back, what was being written or removed goes.
 * @returns names of the checkpoints that got their name back
 */
export async function recoverCheckpoints(outputDir: string): Promise<string[]> {
  const found = await find(outputDir);
  const whole = new Set(found.filter(({ suffix }) => suffix === "").map(({ step }) => step));
  const back: string[] = [];
  for (const { name, step, suffix } of found) {
    if (suffix === "") continue;
    const path = join(outputDir, name);
    if (suffix === ".old" && !whole.has(step)) {
      await rename(path, join(outputDir, `checkpoint-${step}`));
      back.push(`checkpoint-${step}`);
    } else {
      await rm(path, { recursive: true, force: true });
    }
  }
  return back;
}

/** The newest checkpoint of a run. @throws TrainerError if there is none */
export async function latestCheckpoint(outputDir: string): Promise<string> {
  await recoverCheckpoints(outputDir);
  const last = (await listCheckpoints(outputDir)).at(-1);
  if (last !== undefined) return last;
  throw new TrainerError(
    "E_CHECKPOINT",
    `${outputDir} has no checkpoint to resume from. Leave out --resume to start anew.`,
  );
}

/**
 * Writes a checkpoint's folder: all of it is on the disk before it gets its name, and what stood under that name stays until then.
 * @param write fills the folder that it is given
 */
export async function writeCheckpoint(
  folder: string,
  write: (draft: string) => Promise<void>,
): Promise<void> {
  const draft = `${folder}.tmp`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  try {
    await write(draft);
    await flush(draft);
  } catch (error) {
    await rm(draft, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  const old = `${folder}.old`;
  await rm(old, { recursive: true, force: true });
  const replaced = await rename(folder, old).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  await rename(draft, folder);
  await flushFolder(join(folder, ".."));
  if (replaced) await rm(old, { recursive: true, force: true });
}

/** Removes a checkpoint; a run that dies on the way leaves none that is half there. */
export async function removeCheckpoint(folder: string): Promise<void> {
  const going = `${folder}.removed`;
  await rm(going, { recursive: true, force: true });
  await rename(folder, going);
  await rm(going, { recursive: true, force: true });
}

/**
 * Removes the oldest checkpoints over the limit, as `transformers.trainer_utils.rotate_checkpoints`: the newest and the best stay.
 * @param best folder of the best model's checkpoint
 */
export async function rotateCheckpoints(
  outputDir: string,
  limit: number | null,
  best: string | null,
): Promise<void> {
  if (limit === null || limit < 1) return;
  const all = await listCheckpoints(outputDir);
  const kept = new Set([all.at(-1)]);
  const bestHere = best === null ? undefined : all.find((folder) => basename(folder) === basename(best));
  if (bestHere !== undefined) kept.add(bestHere);
  let excess = all.length - Math.max(limit, kept.size);
  for (const folder of all) {
    if (excess <= 0) return;
    if (kept.has(folder)) continue;
    await removeCheckpoint(folder);
    excess--;
  }
}

/** Flushes every file of a folder, and the folder. */
async function flush(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await flush(path);
      continue;
    }
    const handle = await open(path, "r+");
    await handle.sync().finally(() => handle.close());
  }
  await flushFolder(folder);
}

/** Makes a rename survive a power cut, where the system lets a folder be flushed. */
async function flushFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    await handle.sync().finally(() => handle.close());
  } catch {
    // Windows and some network file systems cannot; the rename itself has happened.
  }
}
