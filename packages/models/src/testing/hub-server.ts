/**
 * A hub on this machine, for tests: repositories with branches, the listing in pages, files that are answered at once and large
 * ones behind a redirect to another port, ranges. `intercept` puts anything in the place of an answer.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What was asked of the server. */
export interface SeenRequest {
  place: "hub" | "store";
  method: string;
  path: string;
  authorization: string | undefined;
  range: string | undefined;
}

/** @returns true if it has answered */
export type Intercept = (seen: SeenRequest, response: ServerResponse) => boolean;

interface StoredFile {
  path: string;
  content: Buffer;
  sha1: string;
  /** Only of large files. */
  sha256: string | null;
}

interface Repo {
  files: StoredFile[];
  sha: string;
  refs: string[];
}

/** What a repository is made of. */
export interface RepoOptions {
  /** Files that are kept as large ones. */
  large?: RegExp;
  /** Branches and tags; default `["main"]`. */
  refs?: readonly string[];
  type?: "model" | "dataset";
}

export const gitSha1 = (content: Buffer): string =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
export const sha256 = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

export class HubServer {
  readonly seen: SeenRequest[] = [];
  intercept: Intercept = () => false;
  /** Entries of a page of the listing. */
  pageSize = 1000;
  readonly #repos = new Map<string, Repo[]>();
  readonly #hub: Server;
  readonly #store: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answer("hub", request, response));
    this.#store = createServer((request, response) => this.#answer("store", request, response));
  }

  static async start(): Promise<HubServer> {
    const server = new HubServer();
    for (const one of [server.#hub, server.#store]) {
      await new Promise<void>((done) => one.listen(0, "127.0.0.1", done));
    }
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get storeUrl(): string {
    return `http://127.0.0.1:${(this.#store.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const one of [this.#hub, this.#store]) {
      one.closeAllConnections();
      await new Promise((done) => one.close(done));
    }
  }

  /** Adds a commit. @returns its hash */
  add(name: string, files: Readonly<Record<string, string | Buffer>>, options: RepoOptions = {}): string {
    const stored = Object.entries(files).map(([path, value]) => {
      const content = Buffer.from(value);
      const isLarge = (options.large ?? /\.(safetensors|parquet|bin)$/).test(path);
      return { path, content, sha1: gitSha1(content), sha256: isLarge ? sha256(content) : null };
    });
    const sha = createHash("sha1")
      .update(stored.map(({ path, sha1 }) => `${path} ${sha1}\n`).join(""))
      .digest("hex");
    const key = `${options.type ?? "model"}s/${name}`;
    const refs = [...(options.refs ?? ["main"])];
    const before = (this.#repos.get(key) ?? []).map((repo) => ({
      ...repo,
      refs: repo.refs.filter((ref) => !refs.includes(ref)),
    }));
    this.#repos.set(key, [...before, { files: stored, sha, refs }]);
    return sha;
  }

  /** Requests for the content of files. */
  get downloads(): SeenRequest[] {
    return this.seen.filter(({ path, method }) => method === "GET" && /^\/store\/|\/resolve\//.test(path));
  }

  #answer(place: "hub" | "store", request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.url);
    const seen: SeenRequest = {
      place,
      method: request.method ?? "GET",
      path: url.pathname + url.search,
      authorization: request.headers.authorization,
      range: request.headers.range,
    };
    this.seen.push(seen);
    if (this.intercept(seen, response)) return;
    const path = decodeURIComponent(url.pathname);
    const api = /^\/api\/(models|datasets)\/(.+?)\/(revision|tree)\/(.+)$/.exec(path);
    const resolve = /^\/(datasets\/)?([^/]+(?:\/[^/]+)?)\/resolve\/([0-9a-f]{40}|[^/]+)\/(.+)$/.exec(path);
    if (place === "store") this.#sendStored(path.slice("/store/".length), request, response);
    else if (api) this.#sendApi(api as unknown as [string, string, string, string, string], url, response);
    else if (resolve) {
      const [, dataset, name, revision, file] = resolve as unknown as [
        string,
        string | undefined,
        string,
        string,
        string,
      ];
      this.#sendFile(`${dataset ? "datasets" : "models"}/${name}`, revision, file, request, response);
    } else sendError(response, 404, "EntryNotFound");
  }

  #find(key: string, revision: string): Repo | "RepoNotFound" | "RevisionNotFound" {
    const commits = this.#repos.get(key);
    if (!commits) return "RepoNotFound";
    return (
      commits.findLast(({ sha, refs }) => sha === revision || refs.includes(revision)) ?? "RevisionNotFound"
    );
  }

  #sendApi(
    [, kind, name, what, revision]: [string, string, string, string, string],
    url: URL,
    response: ServerResponse,
  ): void {
    const repo = this.#find(`${kind}/${name}`, revision);
    if (typeof repo === "string") {
      sendError(response, repo === "RepoNotFound" ? 401 : 404, repo);
      return;
    }
    if (what === "revision") {
      sendJson(response, {
        _id: "1",
        id: name,
        sha: repo.sha,
        private: false,
        gated: false,
        downloads: 0,
        likes: 0,
        tags: [],
        lastModified: "2024-01-01T00:00:00.000Z",
        siblings: repo.files.map(({ path }) => ({ rfilename: path })),
      });
      return;
    }
    const isRecursive = /^true$/i.test(url.searchParams.get("recursive") ?? "");
    const entries = repo.files
      .filter(({ path }) => isRecursive || !path.includes("/"))
      .map(({ path, content, sha1, sha256 }) => ({
        type: "file",
        path,
        size: content.length,
        oid: sha1,
        ...(sha256 ? { lfs: { oid: sha256, size: content.length, pointerSize: 130 } } : {}),
      }));
    const from = Number(url.searchParams.get("cursor") ?? 0);
    if (from + this.pageSize < entries.length) {
      const next = new URL(url);
      next.searchParams.set("cursor", String(from + this.pageSize));
      response.setHeader("Link", `<${next.href}>; rel="next"`);
    }
    sendJson(response, entries.slice(from, from + this.pageSize));
  }

  #sendFile(
    key: string,
    revision: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const repo = this.#find(key, revision);
    const file = typeof repo === "string" ? undefined : repo.files.find((one) => one.path === path);
    if (typeof repo === "string" || !file) {
      sendError(response, 404, typeof repo === "string" ? repo : "EntryNotFound");
      return;
    }
    response.setHeader("X-Repo-Commit", repo.sha);
    if (file.sha256) {
      response.writeHead(302, {
        Location: `${this.storeUrl}/store/${file.sha256}?signature=secret`,
        "X-Linked-ETag": `"${file.sha256}"`,
        "X-Linked-Size": file.content.length,
      });
      response.end();
      return;
    }
    response.setHeader("ETag", `"${file.sha1}"`);
    sendContent(file.content, request, response);
  }

  #sendStored(hash: string, request: IncomingMessage, response: ServerResponse): void {
    for (const commits of this.#repos.values()) {
      for (const { files } of commits) {
        const file = files.find((one) => one.sha256 === hash);
        if (!file) continue;
        response.setHeader("ETag", `"${hash}"`);
        sendContent(file.content, request, response);
        return;
      }
    }
    sendError(response, 404, "EntryNotFound");
  }
}

function sendContent(content: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const from = Number(range?.[1] ?? 0);
  const to = range?.[2] ? Number(range[2]) : content.length - 1;
  if (range && from >= content.length) {
    response.writeHead(416, { "Content-Range": `bytes */${content.length}` }).end();
    return;
  }
  if (range) response.setHeader("Content-Range", `bytes ${from}-${to}/${content.length}`);
  response.setHeader("Accept-Ranges", "bytes");
  const part = content.subarray(from, to + 1);
  response.writeHead(range ? 206 : 200, { "Content-Length": part.length });
  response.end(request.method === "HEAD" ? undefined : part);
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(value));
}

export function sendError(response: ServerResponse, status: number, code: string): void {
  response
    .writeHead(status, { "Content-Type": "application/json", "X-Error-Code": code, "X-Error-Message": code })
    .end(JSON.stringify({ error: code }));
}
