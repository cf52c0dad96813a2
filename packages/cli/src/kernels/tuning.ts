import { readFile, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { writeJsonFile } from "@wgrad/models/node";
import type { Device } from "@wgrad/tensor";
import { adapterKey, adapterSlug, loadTuning, type Tuning } from "@wgrad/tensor/lab";

/** What became of an adapter's cache file. */
export interface CachedTuning {
  readonly path: string;
  /** `none`: there is no file. `refused`: it is not of this adapter and driver, or unreadable, and was left alone. */
  readonly state: "loaded" | "none" | "refused";
  readonly choices: number;
  /** ISO date of the measurement; null unless loaded. */
  readonly made: string | null;
  /** Why it was refused. */
  readonly reason: string | null;
}

/** The cache file of an adapter: `$XDG_CACHE_HOME` or `~/.cache`, then `wgrad/tuning/<adapter>.json`. */
export function tuningPath(device: Device): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(cache, "wgrad", "tuning", `${adapterSlug(adapterKey(device))}.json`);
}

/** Fills `device.tuned` from the adapter's cache file, if there is one. A file that cannot be used is no failure. */
export async function loadCachedTuning(device: Device): Promise<CachedTuning> {
  const path = tuningPath(device);
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return { path, state: "none", choices: 0, made: null, reason: null };
  try {
    const tuning = JSON.parse(text) as Tuning;
    const choices = loadTuning(device, tuning);
    return { path, state: "loaded", choices, made: tuning.made, reason: null };
  } catch (error) {
    return { path, state: "refused", choices: 0, made: null, reason: (error as Error).message };
  }
}

/** Writes the cache file; choices of ops that were not measured this time are kept. @returns its path */
export async function saveTuning(device: Device, tuning: Tuning): Promise<string> {
  const path = tuningPath(device);
  const measured = new Set(tuning.choices.map(({ op, shapeClass }) => `${op} ${shapeClass}`));
  const before = await readFile(path, "utf8")
    .then((text) => JSON.parse(text) as Tuning)
    .catch(() => null);
  const isUsable = before?.version === tuning.version && Array.isArray(before.choices);
  const kept = isUsable
    ? before.choices.filter(({ op, shapeClass }) => !measured.has(`${op} ${shapeClass}`))
    : [];
  await writeJsonFile(path, { ...tuning, choices: [...kept, ...tuning.choices] });
  return path;
}

/** Removes the cache file. @returns its path, and whether there was one */
export async function deleteTuning(device: Device): Promise<{ path: string; existed: boolean }> {
  const path = tuningPath(device);
  const existed = await rm(path).then(
    () => true,
    () => false,
  );
  return { path, existed };
}
