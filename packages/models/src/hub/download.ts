/** Downloads the files of a model that are of use here into Hugging Face's cache layout: blobs, snapshots, refs. */
import { copyFile, mkdir, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { HubApiError, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { FileError, HubError } from "../errors.js";
import { writeFileAtomic } from "../files.js";
import type { ResolveOptions } from "./resolve.js";

/** Configuration, tokenizer and weights; no pickles, no other frameworks. */
const wanted =
  /^([\w.-]*config\.json|tokenizer\.json|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|(model|adapter_model)(-\d+-of-\d+)?\.safetensors(\.index\.json)?)$/;

interface DownloadOptions extends ResolveOptions {
  name: string;
  revision: string;
  repoFolder: string;
  endpoint: string;
  /** Half a sentence for messages: what was tried before. */
  neither: string;
  /** What the user can do instead. */
  advice: string;
}

/**
 * Fetches a snapshot.
 * @returns Its folder. The ref is written last, so that an interrupted download is not taken for a complete one.
 */
export async function downloadSnapshot(options: DownloadOptions): Promise<string> {
  const { name, revision, repoFolder, endpoint, onProgress } = options;
  const request = options.fetch ?? fetch;
  const hub = { hubUrl: endpoint, fetch: request };
  try {
    const { sha } = await modelInfo({ ...hub, name, revision, additionalFields: ["sha"] });
    const files: ListFileEntry[] = [];
    for await (const entry of listFiles({ ...hub, repo: { type: "model", name }, revision: sha })) {
      if (entry.type === "file" && wanted.test(entry.path)) files.push(entry);
    }
    const snapshot = join(repoFolder, "snapshots", sha);
    const missing: ListFileEntry[] = [];
    for (const file of files) if (!(await isThere(join(snapshot, file.path)))) missing.push(file);
    for (const [i, file] of missing.entries()) {
      const blob = join(repoFolder, "blobs", file.lfs?.oid ?? file.oid ?? `${sha}-${file.path}`);
      const total = file.lfs?.size ?? file.size;
      if (!(await isThere(blob))) {
        const url = `${endpoint}/${name}/resolve/${sha}/${encodeURIComponent(file.path)}`;
        const report = (loaded: number) =>
          onProgress?.({ file: file.path, loaded, total, index: i + 1, count: missing.length });
        await writeFileAtomic(blob, fetchPieces(request, url, file.path, total, report), { bytes: total });
      }
      const link = join(snapshot, file.path);
      await mkdir(dirname(link), { recursive: true });
      await linkTo(blob, link);
    }
    await mkdir(snapshot, { recursive: true });
    if (sha !== revision) await writeFileAtomic(join(repoFolder, "refs", revision), sha);
    return snapshot;
  } catch (error) {
    throw explain(error, options);
  }
}

/** A relative link, as huggingface_hub makes it; a copy where the system allows no links. */
async function linkTo(blob: string, link: string): Promise<void> {
  await rm(link, { force: true });
  await symlink(relative(dirname(link), blob), link).catch(() => copyFile(blob, link));
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function* fetchPieces(
  request: typeof fetch,
  url: string,
  file: string,
  total: number,
  report: (loaded: number) => void,
): AsyncGenerator<Uint8Array> {
  const response = await request(url);
  if (!response.ok || response.body === null) {
    throw new HubError(
      "E_HUB_DOWNLOAD",
      `${url}: the hub answered ${response.status} ${response.statusText}. Try again later.`,
    );
  }
  let loaded = 0;
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    loaded += value.byteLength;
    report(loaded);
    yield value;
  }
  if (loaded !== total) {
    throw new HubError(
      "E_HUB_DOWNLOAD",
      `${file}: ${loaded} of ${total} bytes arrived. Start again; finished files are kept.`,
    );
  }
}

function explain(error: unknown, { name, revision, neither, advice, endpoint }: DownloadOptions): unknown {
  if (error instanceof HubError || error instanceof FileError) return error;
  if (error instanceof HubApiError) {
    const { statusCode: status } = error;
    if (status === 401 || status === 403 || status === 404) {
      const what = revision === "main" ? name : `${name} at revision ${revision}`;
      return new HubError(
        "E_MODEL_NOT_FOUND",
        `${neither}, and ${endpoint} has no public model ${what} (answer ${status}; private and gated models need an access token, which is not supported yet). Check the spelling. ${advice}`,
        { cause: error },
      );
    }
    return new HubError("E_HUB_DOWNLOAD", `${name}: the hub answered ${status}. Try again later. ${advice}`, {
      cause: error,
    });
  }
  const { code, message } = networkCause(error);
  return new HubError(
    "E_HUB_UNREACHABLE",
    `${neither}, and ${endpoint} cannot be reached (${code ?? message}). ${advice}`,
    {
      cause: error,
    },
  );
}

/** `fetch` says only "fetch failed"; the reason is in its causes. */
function networkCause(error: unknown): { code: string | undefined; message: string } {
  let current: unknown = error;
  let code: string | undefined;
  while (current instanceof Error) {
    code = (current as { code?: string }).code ?? code;
    if (current.cause === undefined) break;
    current = current.cause;
  }
  return { code, message: current instanceof Error ? current.message : String(current) };
}
