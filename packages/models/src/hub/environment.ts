/** What Python's huggingface_hub reads from the environment, read in the same way: cache, address, token, offline. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { HubError } from "../errors.js";

const isOn = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");

function expandHome(path: string): string {
  return /^~(?=$|[\\/])/.test(path) ? join(homedir(), path.slice(1)) : path;
}

function huggingFaceHome(): string {
  const { HF_HOME, XDG_CACHE_HOME } = process.env;
  return expandHome(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface"));
}

/** The cache folder that Python's huggingface_hub uses too: `HF_HUB_CACHE`, else `hub` in `HF_HOME`. */
export function hubCacheDir(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE } = process.env;
  return expandHome(HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(huggingFaceHome(), "hub"));
}

/** Whether the environment forbids the network, as huggingface_hub reads it. */
export function isOffline(): boolean {
  const { HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE, HF_DATASETS_OFFLINE } = process.env;
  return isOn(HF_HUB_OFFLINE || TRANSFORMERS_OFFLINE || HF_DATASETS_OFFLINE);
}

/**
 * The address of the hub without a slash at its end: `given`, else `HF_ENDPOINT`, else `https://huggingface.co`.
 * @throws HubError `E_HUB_ENDPOINT`
 */
export function hubEndpoint(given?: string): string {
  const text = given ?? (process.env.HF_ENDPOINT || "https://huggingface.co");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!url || !isPlain || !/^https?:$/.test(url.protocol)) {
    // The text is not shown: a password may be in it.
    throw new HubError(
      "E_HUB_ENDPOINT",
      "HF_ENDPOINT is no address of a hub. It looks like https://huggingface.co: http or https, without user, password or query. " +
        "Correct it, or unset it.",
    );
  }
  return url.href.replace(/\/+$/, "");
}

/** An access token and where it came from; messages name the place and never the token. */
export interface Token {
  value: string;
  from: string;
}

/**
 * The access token: `given`, else `HF_TOKEN`, else the file that `hf auth login` writes. None where it is switched off
 * (`false`, or `HF_HUB_DISABLE_IMPLICIT_TOKEN`).
 * @throws HubError `E_HUB_TOKEN` for a text that cannot be one
 */
export async function hubToken(given?: string | false): Promise<Token | undefined> {
  if (given === false) return undefined;
  const { HF_TOKEN, HUGGING_FACE_HUB_TOKEN, HF_TOKEN_PATH, HF_HUB_DISABLE_IMPLICIT_TOKEN } = process.env;
  if (given !== undefined) return checked(given, "the option token");
  if (isOn(HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const own = HF_TOKEN || HUGGING_FACE_HUB_TOKEN;
  if (own) return checked(own, HF_TOKEN ? "HF_TOKEN" : "HUGGING_FACE_HUB_TOKEN");
  const path = expandHome(HF_TOKEN_PATH || join(huggingFaceHome(), "token"));
  const text = await readFile(path, "utf8").catch(() => "");
  return checked(text, path);
}

function checked(text: string, from: string): Token | undefined {
  const value = text.trim();
  if (value === "") return undefined;
  // fetch would show a header that it cannot send.
  if (!/^[\x21-\x7e]+$/.test(value)) {
    throw new HubError(
      "E_HUB_TOKEN",
      `the access token from ${from} holds blanks or characters that no token has. Copy it again from the settings of your account.`,
    );
  }
  return { value, from };
}
