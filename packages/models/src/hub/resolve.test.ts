import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HubError } from "../errors.js";
import { gitSha1 } from "../testing/hub-server.js";
import { hubCacheDir, resolveModel } from "./index.js";

const sha = "0123456789012345678901234567890123456789";
const oid = (text: string) => gitSha1(Buffer.from(text));

let folder: string;
let cacheDir: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "wgrad-hub-"));
  cacheDir = join(folder, "hub");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A hub with one model, `org/name`. */
function fakeHub(files: Record<string, string>): typeof fetch {
  return async (input) => {
    const url = new URL(String(input instanceof Request ? input.url : input));
    const json = (value: unknown, status = 200) =>
      new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });
    if (url.pathname === "/api/models/org/name/revision/main")
      return json({ id: "org/name", _id: "1", sha, tags: [] });
    if (url.pathname === `/api/models/org/name/tree/${sha}`) {
      return json(
        Object.entries(files).map(([path, text]) => ({
          type: "file",
          path,
          size: Buffer.byteLength(text),
          oid: oid(text),
        })),
      );
    }
    const text = files[url.pathname.replace(`/org/name/resolve/${sha}/`, "")];
    return text === undefined ? json({ error: "Repository not found" }, 401) : new Response(text);
  };
}

const model = { "config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "{}" };
const refuse: typeof fetch = () => {
  throw new Error("the network was used");
};

async function failure(act: () => Promise<unknown>): Promise<HubError> {
  try {
    await act();
  } catch (error) {
    expect(error).toBeInstanceOf(HubError);
    return error as HubError;
  }
  throw new Error("expected a HubError");
}

async function put(dir: string, files: Record<string, string>): Promise<string> {
  await mkdir(dir, { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  return dir;
}

describe("folders", () => {
  it("are taken as they are", async () => {
    const dir = await put(join(folder, "m"), model);
    expect(await resolveModel(dir, { fetch: refuse })).toBe(dir);
    const tokenizer = await put(join(folder, "t"), { "tokenizer.json": "{}" });
    expect(await resolveModel(tokenizer, { needs: "tokenizer" })).toBe(tokenizer);
    const sharded = await put(join(folder, "s"), {
      "config.json": "{}",
      "model.safetensors.index.json": "{}",
    });
    expect(await resolveModel(sharded)).toBe(sharded);
  });

  it("that are no model's: what is there, what is needed, what to do", async () => {
    const says = async (files: Record<string, string>, needs?: "tokenizer") => {
      const dir = await put(await mkdtemp(join(folder, "x-")), files);
      const error = await failure(() => resolveModel(dir, needs ? { needs } : {}));
      expect(error.code).toBe("E_MODEL_FOLDER");
      expect(error.message).toContain(dir);
      return error.message;
    };
    expect(await says({})).toMatch(/needs config\.json and model\.safetensors .*It is empty/);
    expect(await says({ "notes.txt": "" })).toMatch(/It has notes\.txt/);
    expect(await says({ "config.json": "", "pytorch_model.bin": "" })).toMatch(
      /Convert pytorch_model\.bin in Python/,
    );
    expect(await says({ "adapter_config.json": "" })).toMatch(/is an adapter/);
    expect(await says({ "vocab.txt": "" }, "tokenizer")).toMatch(
      /needs tokenizer\.json.*Write tokenizer\.json in Python/,
    );
    const many = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`f${i}`, ""]));
    expect(await says(many)).toMatch(/and 3 more/);
  });

  it("that are not there, and files", async () => {
    for (const name of [
      "org/a--b",
      "org/..",
      "org/.",
      "x.git",
      "./nowhere",
      "/no/such/folder",
      "a/b/c",
      "~/model",
      "../x",
    ]) {
      expect((await failure(() => resolveModel(name, { fetch: refuse }))).code).toBe("E_MODEL_NOT_FOUND");
    }
    const dir = await put(folder, { "model.safetensors": "" });
    expect((await failure(() => resolveModel(join(dir, "model.safetensors")))).message).toMatch(/is a file/);
  });
});

describe("the cache", () => {
  const snapshot = () => join(cacheDir, "models--org--name", "snapshots", sha);

  it("is used without the network", async () => {
    await put(snapshot(), model);
    await put(join(cacheDir, "models--org--name", "refs"), { main: sha });
    expect(await resolveModel("org/name", { cacheDir, fetch: refuse })).toBe(snapshot());
    expect(await resolveModel("org/name", { cacheDir, fetch: refuse, revision: sha })).toBe(snapshot());
  });

  it("that lacks some of the weights' files is not complete", async () => {
    await put(snapshot(), {
      "config.json": "{}",
      "model.safetensors.index.json": "{}",
      "model-00001-of-00002.safetensors": "",
    });
    await put(join(cacheDir, "models--org--name", "refs"), { main: `${sha}\n` });
    const error = await failure(() => resolveModel("org/name", { cacheDir, offline: true }));
    expect(error.message).toMatch(/nor complete in the cache/);
    await put(snapshot(), { "model-00002-of-00002.safetensors": "" });
    expect(await resolveModel("org/name", { cacheDir, offline: true })).toBe(snapshot());
  });

  it("that lacks a model, offline: an error that says where it looked", async () => {
    const error = await failure(() => resolveModel("org/name", { cacheDir, offline: true, fetch: refuse }));
    expect(error.code).toBe("E_HUB_OFFLINE");
    expect(error.message).toMatch(/org\/name is neither a folder here nor in the cache/);
    expect(error.message).toContain(cacheDir);
    expect(error.message).toContain("hf download org/name");
  });

  it("lies where Python's is", () => {
    const before = { ...process.env };
    try {
      for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
        delete process.env[name];
      expect(hubCacheDir()).toMatch(/\.cache[\\/]huggingface[\\/]hub$/);
      process.env.XDG_CACHE_HOME = "/x";
      expect(hubCacheDir()).toBe(join("/x", "huggingface", "hub"));
      process.env.HF_HOME = "/h";
      expect(hubCacheDir()).toBe(join("/h", "hub"));
      process.env.HF_HUB_CACHE = "/c";
      expect(hubCacheDir()).toBe("/c");
    } finally {
      process.env = before;
    }
  });
});

describe("the hub", () => {
  const online = { endpoint: "https://hub.test", offline: false };

  it("a name that nobody has, and a network that is not there", async () => {
    const unknown = await failure(() =>
      resolveModel("org/other", { ...online, cacheDir, fetch: fakeHub(model) }),
    );
    expect(unknown.code).toBe("E_MODEL_NOT_FOUND");
    expect(unknown.message).toMatch(/no public model org\/other \(answer 401/);
    const down: typeof fetch = async () => {
      throw new TypeError("fetch failed", {
        cause: Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" }),
      });
    };
    const unreachable = await failure(() => resolveModel("bert-base", { ...online, cacheDir, fetch: down }));
    expect(unreachable.code).toBe("E_HUB_UNREACHABLE");
    expect(unreachable.message).toMatch(
      /bert-base is neither a folder.*hub\.test cannot be reached \(ENOTFOUND\)/,
    );
  });

  it("a model without safetensors", async () => {
    const fetch = fakeHub({ "config.json": "{}", "pytorch_model.bin": "x" });
    const error = await failure(() => resolveModel("org/name", { ...online, cacheDir, fetch }));
    expect(error.code).toBe("E_MODEL_FOLDER");
    expect(error.message).toMatch(/Convert pytorch_model\.bin in Python/);
  });
});
