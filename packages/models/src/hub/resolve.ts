/**
 * From a name to a folder on this machine: a folder is taken as it is, anything else is a model on the Hugging Face hub,
 * looked up in the cache that Python's huggingface_hub shares, and downloaded into it.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { HubError } from "../errors.js";
import { downloadSnapshot } from "./download.js";

/** What happens during a download. */
export interface DownloadProgress {
  /** Name of the file in the model's repository. */
  file: string;
  /** Bytes of this file that have arrived, and its size. */
  loaded: number;
  total: number;
  /** Number of this file, from 1, and of all files to download. */
  index: number;
  count: number;
}

/** Options of `resolveModel`. */
export interface ResolveOptions {
  /** The hub cache. Default: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, else `~/.cache/huggingface/hub`. */
  cacheDir?: string;
  /** Branch, tag or commit. Default `"main"`. */
  revision?: string;
  /** Never touch the network. Default: `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE`. */
  offline?: boolean;
  /** Called as files arrive. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Another address of the hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string;
  /** Another way to the network, as a proxy or a test needs. */
  fetch?: typeof fetch;
}

/** What the folder must hold for the caller. */
export type Needs = "model" | "config" | "tokenizer";

const needed: Record<Needs, { files: readonly RegExp[]; words: string }> = {
  model: {
    files: [/^config\.json$/, /^model\.safetensors(\.index\.json)?$/],
    words: "config.json and model.safetensors (or model.safetensors.index.json with its files)",
  },
  config: { files: [/^config\.json$/], words: "config.json" },
  tokenizer: { files: [/^tokenizer\.json$/], words: "tokenizer.json (and tokenizer_config.json)" },
};

function missingFrom(names: readonly string[], needs: Needs): boolean {
  return !needed[needs].files.every((pattern) => names.some((name) => pattern.test(name)));
}

/** The cache folder that Python's huggingface_hub uses too. */
export function hubCacheDir(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  if (HF_HUB_CACHE) return HF_HUB_CACHE;
  if (HUGGINGFACE_HUB_CACHE) return HUGGINGFACE_HUB_CACHE;
  return join(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"), "hub");
}

/** Whether the environment forbids the network, as huggingface_hub reads it. */
export function isOffline(): boolean {
  const on = /^(1|on|yes|true)$/i;
  return on.test(process.env.HF_HUB_OFFLINE ?? "") || on.test(process.env.TRANSFORMERS_OFFLINE ?? "");
}

/**
 * @param nameOrFolder A folder, `org/name`, or `name` of a model of the hub's own.
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
  // What is written like a path is one; a hub id has at most one slash, and no dot or ~ in front.
  const isHubId = /^[\w-][\w.-]*(\/[\w.-]+)?$/.test(nameOrFolder) && !nameOrFolder.includes("..");
  if (!isHubId) {
    throw new HubError(
      "E_MODEL_NOT_FOUND",
      `there is no folder ${nameOrFolder} (looked in ${process.cwd()}).`,
    );
  }
  const cacheDir = options.cacheDir ?? hubCacheDir();
  const revision = options.revision ?? "main";
  const repoFolder = join(cacheDir, `models--${nameOrFolder.replace("/", "--")}`);
  const cached = await cachedSnapshot(repoFolder, revision);
  const names = cached === undefined ? [] : await filesOf(cached);
  if (cached !== undefined && !missingFrom(names, needs)) return cached;

  const neither = `${nameOrFolder} is neither a folder here nor in the cache ${cacheDir}`;
  const advice = `Give a folder that holds ${needed[needs].words}, or fill the cache once with the network on: hf download ${nameOrFolder}`;
  if (options.offline ?? isOffline()) {
    throw new HubError(
      "E_HUB_OFFLINE",
      `${neither}, and offline mode is on (--offline, HF_HUB_OFFLINE). ${advice}`,
    );
  }
  const endpoint = (options.endpoint ?? process.env.HF_ENDPOINT ?? "https://huggingface.co").replace(
    /\/+$/,
    "",
  );
  const folder = await downloadSnapshot({
    ...options,
    name: nameOrFolder,
    revision,
    repoFolder,
    endpoint,
    neither,
    advice,
  });
  await expectFiles(folder, needs);
  return folder;
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

async function expectFiles(folder: string, needs: Needs): Promise<void> {
  const names = await filesOf(folder);
  if (!missingFrom(names, needs)) return;
  const shown = names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "");
  const found = names.length === 0 ? "It is empty." : `It has ${shown}.`;
  const torch = names.find((name) => /^pytorch_model.*\.bin$/.test(name));
  let hint = "";
  if (needs === "model" && torch) {
    hint = ` Convert ${torch} in Python: AutoModel.from_pretrained(folder).save_pretrained(folder).`;
  } else if (needs === "model" && names.includes("adapter_config.json")) {
    hint = " It is an adapter: load its base model first, then the adapter on it.";
  } else if (needs === "tokenizer" && names.some((name) => /^vocab\./.test(name))) {
    hint = " Write tokenizer.json in Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).";
  }
  const kind = needs === "tokenizer" ? "tokenizer" : "model";
  throw new HubError(
    "E_MODEL_FOLDER",
    `${folder} is no ${kind} folder: it needs ${needed[needs].words}. ${found}${hint}`,
  );
}

/** The folder of a revision in the cache, complete or not. */
async function cachedSnapshot(repoFolder: string, revision: string): Promise<string | undefined> {
  const isCommit = /^[0-9a-f]{40}$/.test(revision);
  const ref = isCommit
    ? revision
    : await readFile(join(repoFolder, "refs", revision), "utf8").catch(() => undefined);
  if (ref === undefined) return undefined;
  const folder = join(repoFolder, "snapshots", ref.trim());
  return (await stat(folder).catch(() => undefined))?.isDirectory() ? folder : undefined;
}
