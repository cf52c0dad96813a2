/**
 * Hugging Face's cache layout, which Python's huggingface_hub shares:
 *
 *     models--org--name/refs/main                       the commit that a branch or tag stood for
 *     models--org--name/snapshots/<commit>/config.json  a link to
 *     models--org--name/blobs/<hash>                    the content, named by git's sha1 or, for large files, its sha256
 *     models--org--name/trees/<commit>.json             all files of the commit, where Python has listed them
 *     models--org--name/trees/<commit>.wgrad.json       the same, where this package has. Not under Python's name: it takes
 *                                                       a snapshot that lacks one of them for unusable, and here only
 *                                                       what is of use is fetched
 */
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { writeFileAtomic } from "../files.js";
import { isCommit, type RepoType } from "./repo-id.js";

/** `models--org--name` */
export function repoFolderName(type: RepoType, name: string): string {
  return [`${type}s`, ...name.split("/")].join("--");
}

/** Whether something can be read at the path; a link whose target is gone counts as missing. */
export async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Files below a folder, as paths with `/`; links count as what they lead to, and not at all if that is gone. */
export async function listFolder(folder: string, prefix = ""): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = prefix + entry.name;
    if (entry.isDirectory()) found.push(...(await listFolder(join(folder, entry.name), `${path}/`)));
    else if (await isThere(join(folder, entry.name))) found.push(path);
  }
  return found.sort();
}

/** A revision in the cache, complete or not. */
export interface CachedSnapshot {
  folder: string;
  /** All files of the commit, where they have been listed; else null. */
  tree: readonly string[] | null;
}

/** The folder of a revision in the cache, if there is one. */
export async function cachedSnapshot(
  repoFolder: string,
  revision: string,
): Promise<CachedSnapshot | undefined> {
  const ref = isCommit(revision)
    ? revision
    : await readFile(join(repoFolder, "refs", ...revision.split("/")), "utf8").catch(() => "");
  const commit = ref.trim();
  if (!isCommit(commit)) return undefined;
  const folder = join(repoFolder, "snapshots", commit);
  if (!(await stat(folder).catch(() => undefined))?.isDirectory()) return undefined;
  const trees = join(repoFolder, "trees");
  const tree =
    (await readTree(join(trees, `${commit}.json`))) ?? (await readTree(join(trees, `${commit}.wgrad.json`)));
  return { folder, tree };
}

async function readTree(path: string): Promise<string[] | null> {
  try {
    const { format_version, files } = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    return format_version === 1 ? Object.keys(files as object) : null;
  } catch {
    return null;
  }
}

/** Remembers which files a commit has. */
export async function writeTree(repoFolder: string, commit: string, paths: readonly string[]): Promise<void> {
  const files = Object.fromEntries(paths.map((path) => [path, {}]));
  const text = JSON.stringify({ format_version: 1, files });
  await writeFileAtomic(join(repoFolder, "trees", `${commit}.wgrad.json`), text);
}

/** Remembers what a branch or tag stood for. */
export async function writeRef(repoFolder: string, revision: string, commit: string): Promise<void> {
  if (revision !== commit) await writeFileAtomic(join(repoFolder, "refs", ...revision.split("/")), commit);
}

/**
 * Puts a blob into a snapshot as huggingface_hub does, by a relative link; by a hard link or a copy where the system allows
 * none. Made beside and renamed, so that nobody meets half of it.
 */
export async function linkBlob(blob: string, pointer: string): Promise<void> {
  await mkdir(dirname(pointer), { recursive: true });
  const temporary = `${pointer}.${process.pid}-${Math.random().toString(36).slice(2, 8)}.tmp`;
  try {
    await symlink(relative(dirname(pointer), blob), temporary)
      .catch(() => link(blob, temporary))
      .catch(() => copyFile(blob, temporary));
    await rename(temporary, pointer);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Names of the files of a series `x-00001-of-00003.y` that are not among `names`, of every series that has one there. */
export function missingShards(names: readonly string[]): string[] {
  const there = new Set(names);
  const missing = new Set<string>();
  for (const name of names) {
    const match = /^(.*-)(\d{5})(-of-)(\d{5})(\D[^/]*)$/.exec(name);
    if (!match) continue;
    const [, before, number, of, total, after] = match as unknown as [
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    // Weights are numbered from 1, Parquet files from 0.
    const count = Number(total);
    const first = there.has(`${before}00000${of}${total}${after}`) || /\.parquet$/.test(after) ? 0 : 1;
    if (count > 10_000 || Number(number) > count) continue;
    for (let i = first; i < first + count; i++) {
      const shard = `${before}${String(i).padStart(5, "0")}${of}${total}${after}`;
      if (!there.has(shard)) missing.add(shard);
    }
  }
  return [...missing].sort();
}
