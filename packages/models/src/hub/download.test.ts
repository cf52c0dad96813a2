import { mkdir, mkdtemp, readdir, readFile, readlink, rm, utimes, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HubError } from "../errors.js";
import { gitSha1, HubServer, sendError, sendJson, sha256 } from "../testing/hub-server.js";
import { type DownloadProgress, type ResolveOptions, resolveDataset, resolveModel } from "./index.js";
import { hostKey } from "./lock.js";

const weights = Buffer.alloc(300_000, "0123456789abcdef-");
const model = { "config.json": "{}", "model.safetensors": weights, "tokenizer.json": '{"a":1}' };
const token = "hf_verysecret123";

let hub: HubServer;
let folder: string;
let options: ResolveOptions;
/** How much of the weights has been written to the cache. */
let arrived: number;
const environment = { ...process.env };

beforeEach(async () => {
  hub = await HubServer.start();
  folder = await mkdtemp(join(tmpdir(), "wgrad-hub-"));
  process.env.HF_HOME = folder;
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"]) {
    delete process.env[name];
  }
  arrived = 0;
  const onProgress = ({ file, loaded }: DownloadProgress) => {
    if (file === "model.safetensors") arrived = loaded;
  };
  options = { endpoint: hub.url, offline: false, retryDelay: 1, onProgress };
});
afterEach(async () => {
  process.env = { ...environment };
  await hub.stop();
  await rm(folder, { recursive: true, force: true });
});

const repoFolder = () => join(folder, "hub", "models--org--name");
const blobs = async () => (await readdir(join(repoFolder(), "blobs")).catch(() => [])).sort();

async function failure(act: () => Promise<unknown>): Promise<HubError> {
  try {
    await act();
  } catch (error) {
    // Whatever fails, nothing of it shows the token.
    expect(inspect(error, { depth: 10 })).not.toContain("verysecret");
    return error as HubError;
  }
  throw new Error("expected an error");
}

/**
 * Answers with a beginning and cuts the connection, not before it has arrived: fetch throws away what nobody has read
 * when a connection breaks.
 */
async function sendPart(response: ServerResponse, from: number, bytes: number): Promise<void> {
  response.write(weights.subarray(from, from + bytes));
  while (arrived < Math.min(from + bytes, weights.length)) await setTimeout(1);
  response.socket?.end();
}

/** Cuts the connection behind `bytes` of the first `times` answers with a file's content from the store. */
function cut(bytes: number, times = 1): void {
  let left = times;
  hub.intercept = ({ place, range, method }, response) => {
    if (place !== "store" || method !== "GET" || left-- <= 0) return false;
    const from = Number(/^bytes=(\d+)/.exec(range ?? "")?.[1] ?? 0);
    response.writeHead(range ? 206 : 200, {
      "Content-Length": weights.length - from,
      ...(range ? { "Content-Range": `bytes ${from}-${weights.length - 1}/${weights.length}` } : {}),
    });
    void sendPart(response, from, bytes);
    return true;
  };
}

describe("a download", () => {
  it("fills the cache in its own layout, large files from another host, and only once", async () => {
    const sha = hub.add("org/name", {
      ...model,
      "pytorch_model.bin": "no",
      "README.md": "no",
      "onnx/model.safetensors": "no",
    });
    const progress: DownloadProgress[] = [];
    const dir = await resolveModel("org/name", { ...options, onProgress: (p) => progress.push(p) });
    expect(dir).toBe(join(repoFolder(), "snapshots", sha));
    expect((await readdir(dir)).sort()).toEqual(Object.keys(model).sort());
    expect(await readFile(join(dir, "model.safetensors"))).toEqual(weights);
    expect(await readlink(join(dir, "model.safetensors"))).toBe(join("../../blobs", sha256(weights)));
    expect(await readlink(join(dir, "config.json"))).toBe(join("../../blobs", gitSha1(Buffer.from("{}"))));
    expect(await readFile(join(repoFolder(), "refs/main"), "utf8")).toBe(sha);
    expect(progress.at(-1)).toMatchObject({ index: 3, count: 3 });
    expect(progress.filter((p) => p.file === "model.safetensors").at(-1)).toMatchObject({
      loaded: weights.length,
      total: weights.length,
    });
    expect(await blobs()).toHaveLength(3);
    const { length } = hub.seen;
    expect(await resolveModel("org/name", options)).toBe(dir);
    expect(await resolveModel("org/name", { offline: true })).toBe(dir);
    expect(hub.seen).toHaveLength(length);
  });

  it("of a revision: branch, tag, commit, pull request, in the option and behind @", async () => {
    const old = hub.add(
      "org/name",
      { ...model, "config.json": '{"v":1}' },
      { refs: ["v1", "refs/pr/3", "feature/x"] },
    );
    const now = hub.add("org/name", model);
    const commitOf = (dir: string) => dir.slice(-40);
    expect(commitOf(await resolveModel("org/name", options))).toBe(now);
    for (const revision of ["v1", "refs/pr/3", "feature/x", old]) {
      expect(commitOf(await resolveModel(`org/name@${revision}`, options))).toBe(old);
      expect(commitOf(await resolveModel("org/name", { offline: true, revision }))).toBe(old);
    }
    expect(await readFile(join(repoFolder(), "refs/refs/pr/3"), "utf8")).toBe(old);
    // Files that both commits have were fetched once.
    expect(await blobs()).toHaveLength(4);
    expect((await failure(() => resolveModel("org/name@v2", options))).message).toMatch(
      /no public model org\/name at revision v2 \(answer 404/,
    );
    for (const revision of ["../../x", "/etc", "a//b", "a/../b", "-x", "a b", "x.lock"]) {
      expect((await failure(() => resolveModel("org/name", { ...options, revision }))).code).toBe(
        "E_HUB_REVISION",
      );
    }
    expect((await failure(() => resolveModel("org/name@a", { ...options, revision: "b" }))).message).toMatch(
      /differ/,
    );
  });

  it("takes its address, cache and switch from the environment, and lists in pages", async () => {
    hub.pageSize = 2;
    hub.add("org/name", model);
    process.env.HF_ENDPOINT = `${hub.url}/`;
    expect(await resolveModel("org/name", { offline: false })).toContain(join(folder, "hub"));
    process.env.HF_HUB_OFFLINE = "1";
    expect((await failure(() => resolveModel("org/other"))).code).toBe("E_HUB_OFFLINE");
    process.env.HF_ENDPOINT = "https://me:verysecret@hub.test";
    expect((await failure(() => resolveModel("org/other", { offline: false }))).code).toBe("E_HUB_ENDPOINT");
  });

  it("of a data set: what is chosen with its card, in folders", async () => {
    const files = {
      "README.md": "# card",
      "plain_text/train-00000-of-00001.parquet": "T",
      "other/x.parquet": "X",
    };
    const sha = hub.add("org/name", files, { type: "dataset" });
    const asked: (string | null)[] = [];
    const select = (names: readonly string[], card: string | null) => {
      asked.push(card);
      return names.filter((name) => name.startsWith("plain_text/"));
    };
    const dir = await resolveDataset("org/name", { ...options, select });
    expect(dir).toBe(join(folder, "hub", "datasets--org--name", "snapshots", sha));
    expect(await readFile(join(dir, "plain_text/train-00000-of-00001.parquet"), "utf8")).toBe("T");
    expect(await readlink(join(dir, "plain_text/train-00000-of-00001.parquet"))).toMatch(
      /^\.\.\/\.\.\/\.\.\/blobs\//,
    );
    expect(asked).toEqual(["# card"]);
    expect(await resolveDataset("org/name", { offline: true, select })).toBe(dir);
    const all = (names: readonly string[]) => names;
    // Which files there are is remembered; where Python has listed them, that counts.
    const tree = {
      format_version: 1,
      files: Object.fromEntries(Object.keys(files).map((path) => [path, {}])),
    };
    await writeFile(join(dir, "../../trees", `${sha}.json`), JSON.stringify(tree));
    await rm(join(dir, "../../trees", `${sha}.wgrad.json`));
    expect((await failure(() => resolveDataset("org/name", { offline: true, select: all }))).message).toMatch(
      /nor complete in the cache .* hf download --repo-type dataset org\/name/,
    );
    expect(await resolveDataset("org/name", { ...options, select: all })).toBe(dir);
    expect(await resolveDataset("org/name", { offline: true, select: all })).toBe(dir);
    expect((await failure(() => resolveDataset("org/none", { ...options, select }))).code).toBe(
      "E_DATASET_NOT_FOUND",
    );
  });
});

describe("a download that breaks", () => {
  it("goes on with a range, again and again while bytes come", async () => {
    hub.add("org/name", model);
    cut(40_000, 6);
    const retries: string[] = [];
    const dir = await resolveModel("org/name", { ...options, onRetry: (reason) => retries.push(reason) });
    expect(await readFile(join(dir, "model.safetensors"))).toEqual(weights);
    const ranges = hub.seen.filter(({ place }) => place === "store").map(({ range }) => range);
    expect(ranges).toHaveLength(7);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ""))).toBe(true);
    expect(retries[0]).toMatch(/model\.safetensors: the connection/);
    expect((await blobs()).some((name) => name.includes("incomplete"))).toBe(false);
  });

  it("keeps what came for the next start, in which only the rest is asked for", async () => {
    hub.add("org/name", model);
    cut(0, 100);
    let first = true;
    const stop = hub.intercept;
    hub.intercept = (seen, response) => {
      if (seen.place !== "store" || !first) return stop(seen, response);
      first = false;
      response.writeHead(200, { "Content-Length": weights.length });
      void sendPart(response, 0, 100_000);
      return true;
    };
    const error = await failure(() => resolveModel("org/name", options));
    expect(error.code).toBe("E_HUB_DOWNLOAD");
    expect(error.message).toMatch(/model\.safetensors: 100000 of 300000 bytes arrived .* goes on from there/);
    expect(await blobs()).toContain(`${sha256(weights)}.parked.incomplete`);
    expect((await failure(() => resolveModel("org/name", { offline: true }))).code).toBe("E_HUB_OFFLINE");
    hub.intercept = () => false;
    hub.seen.length = 0;
    const dir = await resolveModel("org/name", options);
    expect(await readFile(join(dir, "model.safetensors"))).toEqual(weights);
    expect(hub.seen.filter(({ place }) => place === "store").map(({ range }) => range)).toEqual([
      "bytes=100000-",
    ]);
  });

  it.each([
    ["that a killed process left", (hash: string) => `${hash}.${hostKey}-999999999-0.incomplete`, 0],
    ["that an older huggingface_hub left", (hash: string) => `${hash}.incomplete`, 120],
  ])("takes up a file %s", async (_, name, age) => {
    hub.add("org/name", model);
    const path = join(repoFolder(), "blobs", name(sha256(weights)));
    await mkdir(join(repoFolder(), "blobs"), { recursive: true });
    await writeFile(path, weights.subarray(0, 200_000));
    const then = Date.now() / 1000 - age;
    await utimes(path, then, then);
    await resolveModel("org/name", options);
    expect(hub.seen.filter(({ place }) => place === "store").map(({ range }) => range)).toEqual([
      "bytes=200000-",
    ]);
    expect((await blobs()).some((one) => one.includes("incomplete"))).toBe(false);
  });

  it.each([
    ["is damaged", Buffer.alloc(200_000, "x"), ["bytes=200000-", undefined]],
    ["is too long", Buffer.alloc(400_000, "x"), [undefined]],
    ["is whole but wrong", Buffer.alloc(300_000, "x"), [undefined]],
    ["is whole", weights, []],
  ])("starts over where what is left %s", async (_, left, ranges) => {
    hub.add("org/name", model);
    await mkdir(join(repoFolder(), "blobs"), { recursive: true });
    await writeFile(join(repoFolder(), "blobs", `${sha256(weights)}.parked.incomplete`), left);
    const dir = await resolveModel("org/name", options);
    expect(await readFile(join(dir, "model.safetensors"))).toEqual(weights);
    expect(hub.seen.filter(({ place }) => place === "store").map(({ range }) => range)).toEqual(ranges);
  });

  it("copes with a server that has no ranges, or sends another", async () => {
    hub.add("org/name", model);
    let n = 0;
    hub.intercept = ({ place, range }, response) => {
      if (place !== "store") return false;
      n++;
      if (n === 1) {
        response.writeHead(200, { "Content-Length": weights.length });
        void sendPart(response, 0, 50_000);
        return true;
      }
      if (n === 2) {
        response.writeHead(206, { "Content-Range": `bytes 7-${weights.length - 1}/${weights.length}` });
        response.end(weights.subarray(7));
        return true;
      }
      expect(range).toBeUndefined();
      response.writeHead(200).end(weights);
      return true;
    };
    const dir = await resolveModel("org/name", options);
    expect(await readFile(join(dir, "model.safetensors"))).toEqual(weights);
  });
});

describe("content that is wrong", () => {
  const answer = (content: Buffer, headers: Record<string, string | number> = {}) => {
    hub.add("org/name", model);
    hub.intercept = ({ place }, response) => {
      if (place !== "store") return false;
      response.writeHead(200, headers).end(content);
      return true;
    };
  };
  it.each([
    ["other bytes", Buffer.alloc(weights.length, "x"), "E_HUB_CHECKSUM", /sha256 is [0-9a-f]{64}, not /],
    ["too many bytes", Buffer.concat([weights, weights]), "E_HUB_DOWNLOAD", /more than the 300000 bytes/],
  ])("%s: an error, and nothing is kept", async (_, content, code, message) => {
    answer(content);
    const error = await failure(() => resolveModel("org/name", options));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(await blobs()).toEqual([gitSha1(Buffer.from("{}"))]);
    expect(await readdir(join(repoFolder(), "refs")).catch(() => [])).toEqual([]);
  });

  it("an announced length that is not the listed one", async () => {
    answer(weights.subarray(0, 10), { "Content-Length": 10 });
    expect((await failure(() => resolveModel("org/name", options))).message).toMatch(
      /model\.safetensors: 127\.0\.0\.1:\d+ sends 10 bytes in place of the 300000/,
    );
  });

  it("a small file is checked by git's hash", async () => {
    hub.add("org/name", model);
    hub.intercept = ({ path }, response) => {
      if (!path.endsWith("config.json")) return false;
      response.end("[]");
      return true;
    };
    expect((await failure(() => resolveModel("org/name", options))).message).toMatch(
      /config\.json: .* git sha1/,
    );
  });

  it.each([
    "../../../evil/config.json",
    "/etc/x/config.json",
    "a/../../config.json",
    "a\\..\\config.json",
    "C:/config.json",
    "a//config.json",
    "",
  ])("a file named %j is refused", async (path) => {
    hub.add("org/name", {});
    hub.intercept = (seen, response) => {
      if (!seen.path.includes("/tree/")) return false;
      sendJson(response, [{ type: "file", path, size: 2, oid: gitSha1(Buffer.from("{}")) }]);
      return true;
    };
    const error = await failure(() =>
      resolveDataset("org/name", { ...options, select: (files) => files }).catch(async () => {
        hub.add("org/name", {}, { type: "dataset" });
        return resolveDataset("org/name", { ...options, select: (files) => files });
      }),
    );
    expect(error.code).toBe("E_HUB_ANSWER");
    expect(error.message).toMatch(/outside the cache/);
    expect(await readdir(folder, { recursive: true })).toEqual([]);
  });

  it("a commit or a hash that is a path is refused, and an answer that is no hub's", async () => {
    hub.add("org/name", model);
    let what = (seen: { path: string }) =>
      seen.path.includes("/revision/") ? { sha: "../../../x" } : undefined;
    hub.intercept = (seen, response) => {
      const value = what(seen);
      if (value !== undefined) sendJson(response, value);
      return value !== undefined;
    };
    expect((await failure(() => resolveModel("org/name", options))).code).toBe("E_HUB_ANSWER");
    what = (seen) =>
      seen.path.includes("/tree/")
        ? ([{ type: "file", path: "config.json", size: 2, oid: "../../../../x" }] as never)
        : undefined;
    expect((await failure(() => resolveModel("org/name", options))).message).toMatch(
      /no hash of config\.json/,
    );
    hub.intercept = (_, response) => {
      response.end("<html>welcome</html>");
      return true;
    };
    expect((await failure(() => resolveModel("org/name", options))).message).toMatch(
      /does not answer as a hub does\. Check HF_ENDPOINT/,
    );
  });
});

describe("the token", () => {
  it.each(["HF_TOKEN", "the file of hf auth login", "the option"])(
    "from %s goes to the hub, and to no other host",
    async (from) => {
      if (from === "HF_TOKEN") process.env.HF_TOKEN = ` ${token}\n`;
      else if (from === "the option") options.token = token;
      else await writeFile(join(folder, "token"), `${token}\n`);
      hub.add("org/name", model);
      await resolveModel("org/name", options);
      const of = (place: string) =>
        new Set(hub.seen.filter((seen) => seen.place === place).map((seen) => seen.authorization));
      expect(of("hub")).toEqual(new Set([`Bearer ${token}`]));
      expect(of("store")).toEqual(new Set([undefined]));
    },
  );

  it("stays at home behind a redirect of the listing too, and where it is switched off", async () => {
    process.env.HF_TOKEN = token;
    hub.add("org/name", model);
    hub.intercept = ({ place, path }, response) => {
      if (place === "store" && path.startsWith("/api/")) sendError(response, 404, "RepoNotFound");
      else if (path.startsWith("/api/"))
        response.writeHead(307, { Location: `${hub.storeUrl}${path}` }).end();
      else return false;
      return true;
    };
    await failure(() => resolveModel("org/name", options));
    expect(hub.seen.map(({ place, authorization }) => [place, authorization])).toEqual([
      ["hub", `Bearer ${token}`],
      ["store", undefined],
    ]);
    hub.intercept = () => false;
    hub.seen.length = 0;
    await resolveModel("org/name", { ...options, token: false });
    expect(hub.seen.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it("is in no error, even if the server repeats it", async () => {
    process.env.HF_TOKEN = token;
    for (const status of [401, 403, 404, 418, 429, 500]) {
      hub.intercept = ({ authorization }, response) => {
        response.writeHead(status, { "Content-Type": "application/json", "X-Error-Message": authorization! });
        response.end(JSON.stringify({ error: `bad ${authorization}` }));
        return true;
      };
      const { message } = await failure(() => resolveModel("org/name", options));
      if (status === 401) expect(message).toMatch(/the token from HF_TOKEN is not accepted/);
      if (status === 403) expect(message).toMatch(/gated or private\. Ask for access at http:.*org\/name/);
    }
    process.env.HF_TOKEN = "hf_verysecret with blanks";
    expect((await failure(() => resolveModel("org/name", options))).code).toBe("E_HUB_TOKEN");
  });

  it("is asked for where a file is not given out", async () => {
    hub.add("org/name", model);
    hub.intercept = ({ path }, response) => {
      if (!path.includes("/resolve/")) return false;
      sendError(response, 403, "GatedRepo");
      return true;
    };
    const error = await failure(() => resolveModel("org/name", options));
    expect(error.code).toBe("E_HUB_ACCESS");
    expect(error.message).toMatch(/set HF_TOKEN, or log in with hf auth login/);
  });
});

describe("a hub that is busy", () => {
  it("429 with Retry-After is waited for, 5xx repeated", async () => {
    hub.add("org/name", model);
    const answers: [number, Record<string, string>][] = [
      [429, { "Retry-After": "0" }],
      [429, { "Retry-After": new Date(Date.now() - 1000).toUTCString() }],
      [503, {}],
      [500, {}],
    ];
    hub.intercept = (_, response) => {
      const next = answers.shift();
      if (next) response.writeHead(...next).end();
      return next !== undefined;
    };
    const waits: [string, number][] = [];
    await resolveModel("org/name", {
      ...options,
      onRetry: (reason, seconds) => waits.push([reason, seconds]),
    });
    expect(waits).toEqual([
      ["the hub answered 429", 0],
      ["the hub answered 429", 0],
      ["the hub answered 503", 0.004],
      ["the hub answered 500", 0.008],
    ]);
  });

  it("for as long as it asks, but not for ever", async () => {
    hub.add("org/name", model);
    let times = 1;
    hub.intercept = (_, response) => {
      if (times-- <= 0) return false;
      response.writeHead(429, { "Retry-After": "1" }).end();
      return true;
    };
    const began = performance.now();
    await resolveModel("org/name", options);
    expect(performance.now() - began).toBeGreaterThan(990);
    hub.intercept = (_, response) => {
      response.writeHead(429, { "Retry-After": "7200" }).end();
      return true;
    };
    const error = await failure(() => resolveModel("org/other", options));
    expect(error.code).toBe("E_HUB_RATE_LIMIT");
    expect(error.message).toMatch(/wait for 120 minutes/);
  });

  it("until it is too often", async () => {
    hub.intercept = (_, response) => {
      response.writeHead(502).end();
      return true;
    };
    expect((await failure(() => resolveModel("org/name", options))).message).toMatch(/answered 502/);
    expect(hub.seen).toHaveLength(5);
  });
});

describe("several at once", () => {
  it("fetch a file once, and none meets half of it", async () => {
    hub.add("org/name", model);
    const dirs = await Promise.all(Array.from({ length: 4 }, () => resolveModel("org/name", options)));
    expect(new Set(dirs).size).toBe(1);
    expect(hub.seen.filter(({ place }) => place === "store")).toHaveLength(1);
    expect(await blobs()).toHaveLength(3);
    expect(await readdir(join(folder, "hub/.locks/models--org--name"))).toEqual([]);
  });

  it("a lock that a dead process left, or a stale one, holds nobody up", async () => {
    hub.add("org/name", model);
    const locks = join(folder, "hub/.locks/models--org--name");
    await mkdir(locks, { recursive: true });
    await writeFile(join(locks, `${sha256(weights)}.wgrad.lock`), `${hostKey} 999999999`);
    const stale = join(locks, `${gitSha1(Buffer.from("{}"))}.wgrad.lock`);
    await writeFile(stale, "elsewhere 1");
    await utimes(stale, 1, 1);
    await resolveModel("org/name", options);
    expect(await readdir(locks)).toEqual([]);
  });
});
