/**
 * From a name to a folder on this machine: a folder is taken as it is, anything else is a repository on the Hugging Face hub,
 * looked up in the cache that Python's huggingface_hub shares, and downloaded into it.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HubError } from "../errors.js";
import { type CachedSnapshot, cachedSnapshot, listFolder, missingShards, repoFolderName } from "./cache.js";
import { downloadSnapshot, type SelectFiles } from "./download.js";
import { hubCacheDir, isOffline } from "./environment.js";
import { parseRepoId, type RepoId } from "./repo-id.js";

/** What happens during a download. */
export interface DownloadProgress {
  /** Path of the file in the repository. */
  file: string;
  /** Bytes of this file that have arrived, and its size. */
  loaded: number;
  total: number;
  /** Number of this file, from 1, and of all files to download. */
  index: number;
  count: number;
}

/** Options of `resolveModel` and `resolveDataset`. */
export interface ResolveOptions {
  /** The hub cache. Default: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, else `~/.cache/huggingface/hub`. */
  cacheDir?: string;
  /** Branch, tag, commit or `refs/pr/N`; a name may also carry it, as in `org/name@v1.0`. Default `"main"`. */
  revision?: string;
  /** Never touch the network. Default: `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` or `HF_DATASETS_OFFLINE`. */
  offline?: boolean;
  /** Called as files arrive. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Another address of the hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string;
  /** Access token; false: none. Default: `HF_TOKEN`, else the file that `hf auth login` writes. Only the hub's own address gets it. */
  token?: string | false;
  /** Told before the download waits to try again, as after 429, 5xx or a connection that broke. */
  onRetry?: (reason: string, seconds: number) => void;
  /** Another way to the network, as a proxy or a test needs. */
  fetch?: typeof fetch;
  /** Milliseconds before the first new try, doubled each time. Default 1000. */
  retryDelay?: number;
}

/** What the folder must hold for the caller; `any`: a model or an adapter. */
export type Needs = "model" | "config" | "tokenizer" | "processor" | "adapter" | "any";

const needed: Record<Needs, { files: readonly RegExp[]; words: string }> = {
  model: {
    files: [/^config\.json$/, /^model\.safetensors(\.index\.json)?$/],
    words: "config.json and model.safetensors (or model.safetensors.index.json with its files)",
  },
  config: { files: [/^config\.json$/], words: "config.json" },
  tokenizer: { files: [/^tokenizer\.json$/], words: "tokenizer.json (and tokenizer_config.json)" },
  processor: {
    files: [/^(pre)?processor_config\.json$/],
    words: "preprocessor_config.json (or processor_config.json)",
  },
  adapter: {
    files: [/^adapter_config\.json$/, /^adapter_model\.safetensors$/],
    words: "adapter_config.json and adapter_model.safetensors",
  },
  any: {
    files: [/^(adapter_)?config\.json$/],
    words: "config.json and model.safetensors, or adapter_config.json and adapter_model.safetensors",
  },
};

/** Configuration, tokenizer and weights; no pickles, no other frameworks. */
const wanted =
  /^([\w.-]*config\.json|tokenizer\.json|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt|(model|adapter_model)(-\d+-of-\d+)?\.safetensors(\.index\.json)?)$/;

function missingFrom(names: readonly string[], needs: Needs): boolean {
  return !needed[needs].files.every((pattern) => names.some((name) => pattern.test(name)));
}

/**
 * @param nameOrFolder A folder, `org/name`, or `name` of a model of the hub's own; both also with `@revision`.
 * @param options `needs` says what must be there; a cached or local folder without it is not taken. Default `"model"`.
 * @returns The folder. A complete one in the cache is used without asking the hub for a newer one.
 * @throws HubError with what was tried and what to do.
 */
export async function resolveModel(
  nameOrFolder: string,
  options: ResolveOptions & { needs?: Needs } = {},
): Promise<string> {
  const needs = options.needs ?? "model";
  const there = await stat(nameOrFolder).catch(() => undefined);
  if (there?.isDirectory()) {
    await expectFiles(nameOrFolder, needs);
    return nameOrFolder;
  }
  if (there) {
    throw new HubError(
      "E_MODEL_FOLDER",
      `${nameOrFolder} is a file. Give the folder that holds ${needed[needs].words}.`,
    );
  }
  // What is written like a path is one.
  const repo = parseRepoId(nameOrFolder, options.revision);
  if (!repo) {
    throw new HubError(
      "E_MODEL_NOT_FOUND",
      `there is no folder ${nameOrFolder} (looked in ${process.cwd()}).`,
    );
  }
  let others: readonly string[] = [];
  const folder = await resolveRepo(repo, options, {
    type: "model",
    select: (files) => {
      others = files;
      return files.filter((path) => wanted.test(path));
    },
    isComplete: async ({ folder }) => {
      const names = await filesOf(folder);
      return !missingFrom(names, needs) && missingShards(names).length === 0;
    },
    instead: `Give a folder that holds ${needed[needs].words}`,
    command: `hf download ${repo.name}`,
  });
  await expectFiles(folder, needs, others);
  return folder;
}

/**
 * The folder of a data set of the hub, in the cache.
 * @param name `org/name`, or `name` of one of the hub's own; both also with `@revision`
 * @param options `select` says which of the repository's files are needed. It is asked again about what is in the cache.
 * @returns The folder. What is complete in the cache is used without asking the hub for a newer one.
 * @throws HubError with what was tried and what to do; what `select` throws
 */
export async function resolveDataset(
  name: string,
  options: ResolveOptions & { select: SelectFiles },
): Promise<string> {
  const repo = parseRepoId(name, options.revision);
  if (!repo) {
    throw new HubError(
      "E_DATASET_NOT_FOUND",
      `there is no file or folder ${name} (looked in ${process.cwd()}), and no data set of the hub has such a name.`,
    );
  }
  return resolveRepo(repo, options, {
    type: "dataset",
    select: options.select,
    isComplete: ({ folder, tree }) => hasSelected(folder, tree, options.select),
    instead: "Give a folder or a file with the data",
    command: `hf download --repo-type dataset ${repo.name}`,
  });
}

/** Whether all that is to be selected is there, as far as can be known. */
async function hasSelected(
  folder: string,
  tree: readonly string[] | null,
  select: SelectFiles,
): Promise<boolean> {
  const there = await listFolder(folder);
  const card = there.includes("README.md") ? await readFile(join(folder, "README.md"), "utf8") : null;
  let chosen: readonly string[];
  try {
    chosen = select(tree ?? there, card);
  } catch {
    // Not enough of it is there to choose from.
    return false;
  }
  return (
    chosen.length > 0 && chosen.every((path) => there.includes(path)) && missingShards(chosen).length === 0
  );
}

interface RepoUse {
  type: "model" | "dataset";
  select: SelectFiles;
  isComplete: (cached: CachedSnapshot) => Promise<boolean>;
  /** What the user can do in place of a download. */
  instead: string;
  /** What fills the cache in Python. */
  command: string;
}

async function resolveRepo(repo: RepoId, options: ResolveOptions, use: RepoUse): Promise<string> {
  const cacheDir = options.cacheDir ?? hubCacheDir();
  const cached = await cachedSnapshot(join(cacheDir, repoFolderName(use.type, repo.name)), repo.revision);
  if (cached && (await use.isComplete(cached))) return cached.folder;
  const at = repo.revision === "main" ? "" : ` at revision ${repo.revision}`;
  const neither = `${repo.name} is neither a folder here nor${cached ? " complete" : ""}${at} in the cache ${cacheDir}`;
  const revision = repo.revision === "main" ? "" : ` --revision ${repo.revision}`;
  const advice = `${use.instead}, or fill the cache once with the network on: ${use.command}${revision}`;
  if (options.offline ?? isOffline()) {
    throw new HubError(
      "E_HUB_OFFLINE",
      `${neither}, and offline mode is on (--offline, HF_HUB_OFFLINE). ${advice}`,
    );
  }
  return downloadSnapshot({
    ...options,
    type: use.type,
    repo,
    cacheDir,
    select: use.select,
    neither,
    advice,
  });
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  // A link whose target is gone counts as missing.
  const there = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return names.filter((_, i) => there[i]);
}

/** @param others files of the repository that were not downloaded */
async function expectFiles(folder: string, needs: Needs, others: readonly string[] = []): Promise<void> {
  const names = await filesOf(folder);
  if (!missingFrom(names, needs)) return;
  const shown = names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "");
  const found = names.length === 0 ? "It is empty." : `It has ${shown}.`;
  const torch = [...names, ...others].find((name) => /^pytorch_model.*\.bin$/.test(name));
  let hint = "";
  if (needs === "model" && torch) {
    hint = ` Convert ${torch} in Python: AutoModel.from_pretrained(folder).save_pretrained(folder).`;
  } else if (needs === "model" && names.includes("adapter_config.json")) {
    hint = " It is an adapter: load its base model first, then the adapter on it.";
  } else if (needs === "tokenizer" && names.some((name) => /^vocab\./.test(name))) {
    hint = " Write tokenizer.json in Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).";
  } else if (needs === "processor" && (names.includes("config.json") || names.includes("tokenizer.json"))) {
    hint = " Is it a model of texts? One of pictures is openai/clip-vit-base-patch16.";
  }
  const kinds = { tokenizer: "tokenizer", adapter: "adapter", processor: "image processor" };
  const kind = needs in kinds ? kinds[needs as keyof typeof kinds] : "model";
  throw new HubError(
    "E_MODEL_FOLDER",
    `${folder} is no ${kind} folder: it needs ${needed[needs].words}. ${found}${hint}`,
  );
}
