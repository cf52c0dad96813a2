/** Downloads files of a repository into the cache. Its commit and its files are asked for through `@huggingface/hub`. */
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { datasetInfo, HubApiError, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { FileError, HubError } from "../errors.js";
import { fetchBlob } from "./blob.js";
import { linkBlob, repoFolderName, writeRef, writeTree } from "./cache.js";
import { HubClient, networkCause } from "./client.js";
import { hubEndpoint, hubToken } from "./environment.js";
import { isCommit, isSafePath, type RepoId, type RepoType } from "./repo-id.js";
import type { ResolveOptions } from "./resolve.js";

/**
 * Chooses among the files of a repository.
 * @param files paths of all files
 * @param card the text of README.md, null without one; only for data sets
 */
export type SelectFiles = (files: readonly string[], card: string | null) => readonly string[];

interface DownloadOptions extends ResolveOptions {
  type: RepoType;
  repo: RepoId;
  cacheDir: string;
  select: SelectFiles;
  /** Half a sentence for messages: what was tried before. */
  neither: string;
  /** What the user can do instead. */
  advice: string;
}

/**
 * Fetches a snapshot.
 * @returns Its folder. The ref is written last, so that an interrupted download is not taken for a complete one.
 * @throws HubError, FileError
 */
export async function downloadSnapshot(options: DownloadOptions): Promise<string> {
  const endpoint = hubEndpoint(options.endpoint);
  const token = await hubToken(options.token);
  const client = new HubClient({ ...options, endpoint, token });
  try {
    return await download(client, options);
  } catch (error) {
    throw explain(error, client, options);
  }
}

async function download(client: HubClient, options: DownloadOptions): Promise<string> {
  const { type, repo, cacheDir } = options;
  const hub = { hubUrl: client.endpoint, fetch: client.fetch };
  const asked = { ...hub, name: repo.name, revision: repo.revision };
  const { sha } =
    type === "model"
      ? await modelInfo({ ...asked, additionalFields: ["sha"] })
      : await datasetInfo({ ...asked, additionalFields: ["sha"] });
  if (typeof sha !== "string" || !isCommit(sha)) throw strange(client, "a commit that is none");

  const entries = new Map<string, ListFileEntry>();
  const listing = listFiles({
    ...hub,
    repo: { type, name: repo.name },
    revision: sha,
    recursive: type === "dataset",
  });
  for await (const entry of listing) if (entry.type === "file") entries.set(entry.path, entry);

  const folder = repoFolderName(type, repo.name);
  const repoFolder = join(cacheDir, folder);
  const snapshot = join(repoFolder, "snapshots", sha);
  const fetchAll = async (paths: readonly string[]): Promise<void> => {
    const missing: WantedFile[] = [];
    for (const path of paths) {
      const file = wantedFile(client, path, entries.get(path)!);
      const there = await stat(join(snapshot, path)).catch(() => undefined);
      if (there?.size !== file.size) missing.push(file);
    }
    for (const [i, { path, hash, size }] of missing.entries()) {
      const blob = join(repoFolder, "blobs", hash);
      const where = `${type === "dataset" ? "datasets/" : ""}${repo.name}/resolve/${sha}`;
      await fetchBlob({
        client,
        url: `${client.endpoint}/${where}/${path.split("/").map(encodeURIComponent).join("/")}`,
        file: path,
        size,
        hash,
        blob,
        lock: join(cacheDir, ".locks", folder, `${hash}.wgrad.lock`),
        onProgress: (loaded) =>
          options.onProgress?.({ file: path, loaded, total: size, index: i + 1, count: missing.length }),
      });
      await linkBlob(blob, join(snapshot, path));
    }
  };

  const all = [...entries.keys()].sort();
  let card: string | null = null;
  if (type === "dataset" && entries.has("README.md")) {
    await fetchAll(["README.md"]);
    card = await readFile(join(snapshot, "README.md"), "utf8");
  }
  const chosen = options.select(all, card);
  await fetchAll(chosen);
  await mkdir(snapshot, { recursive: true });
  if (type === "dataset") await writeTree(repoFolder, sha, all);
  await writeRef(repoFolder, repo.revision, sha);
  return snapshot;
}

interface WantedFile {
  path: string;
  hash: string;
  size: number;
}

/** What the hub's list says of a file, if it can be true. */
function wantedFile(client: HubClient, path: string, entry: ListFileEntry): WantedFile {
  if (!isSafePath(path)) {
    throw strange(client, `a file ${JSON.stringify(path).slice(0, 100)}, which would lie outside the cache`);
  }
  const hash = entry.lfs?.oid ?? entry.oid ?? "";
  const size = entry.lfs?.size ?? entry.size;
  if (!(entry.lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(hash))
    throw strange(client, `no hash of ${path}`);
  if (!Number.isSafeInteger(size) || size < 0) throw strange(client, `no size of ${path}`);
  return { path, hash, size };
}

function strange(client: HubClient, what: string): HubError {
  return new HubError(
    "E_HUB_ANSWER",
    `${client.endpoint} lists ${what}. It is no hub, or not to be trusted: check HF_ENDPOINT.`,
  );
}

/** Errors of this package pass; the rest become one. What the server said stays out, for it may repeat the token. */
function explain(error: unknown, client: HubClient, options: DownloadOptions): unknown {
  const { type, repo, neither, advice } = options;
  const status = statusOf(error);
  if (status === undefined) {
    if (error instanceof Error && /^E_[A-Z_]+$/.test((error as { code?: string }).code ?? "")) return error;
    if (
      (error as NodeJS.ErrnoException)?.syscall?.match(
        /^(open|mkdir|rename|symlink|link|unlink|stat|read|write)$/,
      )
    ) {
      const { path = options.cacheDir, message } = error as NodeJS.ErrnoException;
      return new FileError(
        "E_FILE_WRITE",
        path,
        `the cache cannot be written (${message}). Set HF_HOME to another folder.`,
        { cause: error },
      );
    }
    // What is no JSON is quoted in this error.
    if (error instanceof SyntaxError) {
      return new HubError(
        "E_HUB_ANSWER",
        `${client.endpoint} does not answer as a hub does. Check HF_ENDPOINT. ${advice}`,
      );
    }
    const what = networkCause(error);
    return new HubError(
      "E_HUB_UNREACHABLE",
      `${neither}, and ${client.endpoint} cannot be reached (${what}). ${advice}`,
      { cause: error },
    );
  }
  const noun = type === "model" ? "model" : "data set";
  const what =
    repo.revision === "main" ? `${noun} ${repo.name}` : `${noun} ${repo.name} at revision ${repo.revision}`;
  const page = `${client.endpoint}/${type === "dataset" ? "datasets/" : ""}${repo.name}`;
  const sent = client.token ? `the token from ${client.token.from}` : undefined;
  if (status === 404 || (status === 401 && !sent)) {
    const hidden = sent
      ? `it may be private, and ${sent} may not see it`
      : "private and gated ones need an access token: set HF_TOKEN, or log in with hf auth login";
    return new HubError(
      type === "model" ? "E_MODEL_NOT_FOUND" : "E_DATASET_NOT_FOUND",
      `${neither}, and ${client.endpoint} has no public ${what} (answer ${status}; ${hidden}). Check the spelling. ${advice}`,
    );
  }
  if (status === 401 || status === 403) {
    const why =
      status === 401
        ? `${sent} is not accepted: it is wrong, expired or withdrawn. Make a new one, or unset it for public repositories`
        : `the ${what} is gated or private. Ask for access at ${page}, ${sent ? `and see that ${sent} is of that account and may read it` : "then set HF_TOKEN, or log in with hf auth login"}`;
    return new HubError(
      "E_HUB_ACCESS",
      `${neither}, and ${client.endpoint} does not give it out (answer ${status}): ${why}.`,
    );
  }
  if (status === 429) {
    const more = sent ? "" : " With an access token (HF_TOKEN) more are allowed.";
    return new HubError(
      "E_HUB_RATE_LIMIT",
      `${repo.name}: ${client.endpoint} answers 429, too many requests, also after waiting.${more} Try again later; finished files are kept.`,
    );
  }
  return new HubError(
    "E_HUB_DOWNLOAD",
    `${repo.name}: ${client.endpoint} answered ${status}. Try again later. ${advice}`,
  );
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof HubApiError) return error.statusCode;
  if (!(error instanceof HubError)) return undefined;
  return (error.cause as { status?: number } | undefined)?.status;
}
