/**
 * Requests to the hub: the token goes to the hub's own address and nowhere else, also behind a redirect; what passes by
 * itself (429, 5xx, a connection that broke) is tried again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { HubError } from "../errors.js";
import type { Token } from "./environment.js";

/** How {@link HubClient} is made. */
export interface HubClientOptions {
  endpoint: string;
  token: Token | undefined;
  /** Default: the global one. */
  fetch?: typeof fetch | undefined;
  /** Milliseconds before the first repetition; doubled each time. Default 1000. */
  retryDelay?: number | undefined;
  /** Told before each wait. */
  onRetry?: ((reason: string, seconds: number) => void) | undefined;
}

const REPEATED = new Set([408, 429, 500, 502, 503, 504]);
/** Requests in all before giving up. */
const ATTEMPTS = 5;
const HOPS = 10;
/** Longest wait that a server may ask for, in seconds: the hub counts requests over 5 minutes. */
const LONGEST_WAIT = 330;
/** Time without an answer or a byte, in milliseconds. */
const SILENCE = 1000 * (Number(process.env.HF_HUB_DOWNLOAD_TIMEOUT) || 30);

/** Sends requests. */
export class HubClient {
  readonly endpoint: string;
  readonly token: Token | undefined;
  readonly #fetch: typeof fetch;
  readonly #delay: number;
  readonly #onRetry: HubClientOptions["onRetry"];

  constructor(options: HubClientOptions) {
    this.endpoint = options.endpoint;
    this.token = options.token;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#delay = options.retryDelay ?? 1000;
    this.#onRetry = options.onRetry;
  }

  /** What `@huggingface/hub` gets for `fetch`. Its own way with tokens is not used: it refuses any that do not begin with hf_. */
  readonly fetch: typeof fetch = (input) => {
    const url = typeof input === "string" ? input : input instanceof URL ? input.href : input.url;
    return this.send(url, { accept: "application/json" });
  };

  /**
   * A GET request, through redirects, repeated where that may help.
   * @param watchdog goes on watching the body of the answer; without one only the answer itself is waited for
   * @returns The last answer, whatever its status
   * @throws What `fetch` throws; HubError `E_HUB_RATE_LIMIT` where the server asks to wait for too long
   */
  async send(url: string, headers: Record<string, string>, watchdog?: Watchdog): Promise<Response> {
    using own = new Watchdog();
    const guard = watchdog ?? own;
    for (let attempt = 1; ; attempt++) {
      let response: Response;
      try {
        response = await this.#follow(url, headers, guard.start());
      } catch (error) {
        guard.stop();
        if (attempt >= ATTEMPTS || !isPassing(error)) throw error;
        await this.pause(attempt, `the connection broke (${networkCause(error)})`);
        continue;
      }
      if (!REPEATED.has(response.status) || attempt >= ATTEMPTS) return response;
      guard.stop();
      const asked = waitOf(response.headers);
      await response.body?.cancel();
      if (asked !== undefined && asked > LONGEST_WAIT) {
        throw new HubError(
          "E_HUB_RATE_LIMIT",
          `${hostOf(url)} answers ${response.status} and asks to wait for ${Math.ceil(asked / 60)} minutes. Start again then; finished files are kept.`,
        );
      }
      await this.pause(attempt, `the hub answered ${response.status}`, asked);
    }
  }

  /** Waits before the next attempt: as long as asked for, else twice as long each time. */
  async pause(attempt: number, reason: string, asked?: number): Promise<void> {
    const milliseconds = asked === undefined ? this.#delay * 2 ** (attempt - 1) : asked * 1000;
    this.#onRetry?.(reason, milliseconds / 1000);
    // Not all at once, where many processes were turned away together.
    await sleep(milliseconds * (1 + 0.2 * Math.random()));
  }

  async #follow(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    let current = new URL(url);
    const home = new URL(this.endpoint).origin;
    for (let hop = 0; hop <= HOPS; hop++) {
      const own = this.token !== undefined && current.origin === home;
      const response = await this.#fetch(current.href, {
        headers: { ...headers, ...(own ? { authorization: `Bearer ${this.token!.value}` } : {}) },
        redirect: "manual",
        signal,
      });
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || location === null) return response;
      await response.body?.cancel();
      const next = URL.canParse(location, current) ? new URL(location, current) : undefined;
      if (
        !next ||
        !/^https?:$/.test(next.protocol) ||
        (current.protocol === "https:" && next.protocol === "http:")
      ) {
        throw new HubError(
          "E_HUB_ANSWER",
          `${hostOf(url)} redirects to an address that is not followed (${next ? next.protocol : "unreadable"}). Check HF_ENDPOINT.`,
        );
      }
      current = next;
    }
    throw new HubError(
      "E_HUB_ANSWER",
      `${hostOf(url)} redirects more than ${HOPS} times. Check HF_ENDPOINT.`,
    );
  }
}

/** Breaks a request off that is silent for too long. */
export class Watchdog {
  #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  /** A request begins. @returns What breaks it off */
  start(): AbortSignal {
    this.#controller = new AbortController();
    this.feed();
    return this.#controller.signal;
  }

  /** Something has arrived. */
  feed(): void {
    this.stop();
    const silent = Object.assign(new Error(`nothing arrived for ${SILENCE / 1000} s`), { code: "ETIMEDOUT" });
    const controller = this.#controller;
    this.#timer = setTimeout(() => controller.abort(silent), SILENCE);
  }

  /** Nothing is waited for. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

/** Host and port of an address: the rest may hold a signature. */
export function hostOf(url: string): string {
  return new URL(url).host;
}

/** Seconds that a server asks to wait: `Retry-After`, else the hub's own `RateLimit`. */
function waitOf(headers: Headers): number | undefined {
  const after = headers.get("retry-after")?.trim();
  if (after) {
    if (/^\d+$/.test(after)) return Number(after);
    const at = Date.parse(after);
    if (!Number.isNaN(at)) return Math.max(0, (at - Date.now()) / 1000);
  }
  const limit = /\bt=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  return limit === undefined ? undefined : Number(limit);
}

/** A broken connection may hold the next time; a name that nobody has and a certificate nobody trusts will not. */
function isPassing(error: unknown): boolean {
  return /^(ECONNRESET|EPIPE|ETIMEDOUT|EAI_AGAIN|UND_ERR_SOCKET|UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT)$/.test(
    networkCause(error),
  );
}

/** The code or the words of what went wrong: `fetch` says only "fetch failed", the reason is in its causes. */
export function networkCause(error: unknown): string {
  let current: unknown = error;
  let code: string | undefined;
  while (current instanceof Error) {
    const own = (current as { code?: unknown }).code;
    if (typeof own === "string") code = own;
    if (current.cause === undefined) break;
    current = current.cause;
  }
  return code ?? (current instanceof Error ? current.message : String(current));
}
