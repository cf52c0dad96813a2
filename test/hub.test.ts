// The hub's cache is shared: between wgrad and Python's huggingface_hub, where it is installed, and between processes.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { resolveDataset, resolveModel } from "@wgrad/models/node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HubServer } from "../packages/models/src/testing/hub-server.js";

const root = resolve(import.meta.dirname, "..");
const weights = Buffer.alloc(400_000, "0123456789abcdef-");
const files = { "config.json": "{}", "model.safetensors": weights, "tokenizer.json": "{ }" };

let hub: HubServer;
let home: string;
let env: NodeJS.ProcessEnv;
const running: ChildProcess[] = [];
beforeEach(async () => {
  hub = await HubServer.start();
  home = mkdtempSync(join(tmpdir(), "wgrad-hub-"));
  env = { ...process.env, HF_HOME: home, HF_ENDPOINT: hub.url, HF_HUB_DISABLE_TELEMETRY: "1" };
  for (const name of Object.keys(env))
    if (/^(HF_TOKEN|HF_HUB_CACHE|HF_HUB_OFFLINE|VITEST|NODE_OPTIONS)/.test(name)) delete env[name];
});
afterEach(async () => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  await hub.stop();
  rmSync(home, { recursive: true, force: true });
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

function start(command: string, args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(command, args, { env, cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  running.push(child);
  let out = "";
  let err = "";
  child.stdout.on("data", (text) => {
    out += text;
  });
  child.stderr.on("data", (text) => {
    err += text;
  });
  const ended = new Promise<Ended>((done) => child.on("close", (code) => done({ code, out, err })));
  return { child, ended };
}

const startNode = () =>
  start(process.execPath, [
    "--input-type=module",
    "-e",
    'import { resolveModel } from "@wgrad/models/node"; console.log(await resolveModel("org/model"));',
  ]);

const environment = join(
  root,
  ".cache/python",
  process.platform === "win32" ? "Scripts/python.exe" : "bin/python",
);
const python = process.env.WGRAD_PYTHON ?? (existsSync(environment) ? environment : null);
const hasHub = python !== null && spawnSync(python, ["-c", "import huggingface_hub"]).status === 0;

const why = hasHub ? "" : " (skipped: it is not installed; CI=1 npm test does that)";
describe.skipIf(!hasHub)(`Python's huggingface_hub${why}`, () => {
  const runPython = async (action: string): Promise<Record<string, unknown>> => {
    const { code, out, err } = await start(python!, [
      join(import.meta.dirname, "python/hub_cache.py"),
      action,
    ]).ended;
    if (code !== 0) throw new Error(`hub_cache.py ${action} ended with code ${code}\n${err}`);
    return JSON.parse(out) as Record<string, unknown>;
  };

  it("finds what wgrad has downloaded, with no network and without a word", async () => {
    hub.add("org/model", { ...files, "README.md": "not fetched" }, { refs: ["main", "refs/pr/1"] });
    hub.add("org/data", { "README.md": "#", "a/train.csv": "text\nx\n", "b.csv": "" }, { type: "dataset" });
    const options = { cacheDir: join(home, "hub"), endpoint: hub.url, offline: false, token: false } as const;
    const model = await resolveModel("org/model", options);
    const branch = await resolveModel("org/model@refs/pr/1", options);
    const data = await resolveDataset("org/data", { ...options, select: () => ["a/train.csv"] });
    const { length } = hub.seen;
    expect(await runPython("read")).toEqual({
      model,
      branch,
      file: join(model, "config.json"),
      data: join(data, "a/train.csv"),
      repos: ["datasets/org/data", "models/org/model"],
      warnings: [],
    });
    expect(hub.seen).toHaveLength(length);
  });

  it("and wgrad finds what it has downloaded; what one has, the other does not fetch again", async () => {
    hub.add("org/model", files);
    hub.add("org/python", files);
    hub.add("org/frompython", { "train.csv": "text\nx\n" }, { type: "dataset" });
    const cacheDir = join(home, "hub");
    const model = await resolveModel("org/model", {
      cacheDir,
      endpoint: hub.url,
      offline: false,
      token: false,
    });
    hub.seen.length = 0;
    const made = await runPython("download");
    expect(made.again).toBe(model);
    expect(hub.downloads.filter(({ path }) => path.includes("org/model"))).toEqual([]);
    const offline = { cacheDir, offline: true };
    expect(await resolveModel("org/python", offline)).toBe(made.model);
    expect(readFileSync(join(made.model as string, "model.safetensors"))).toEqual(weights);
    expect(await resolveDataset("org/frompython", { ...offline, select: () => ["train.csv"] })).toBe(
      made.data,
    );
  });
});

describe("several processes", () => {
  const stored = () => hub.seen.filter(({ place }) => place === "store");
  const content = () =>
    readFileSync(
      join(
        home,
        "hub/models--org--model/blobs",
        readdirSync(join(home, "hub/models--org--model/blobs")).find((name) => name.length === 64)!,
      ),
    );

  it("at once: one fetches, the other takes what it has fetched", async () => {
    hub.add("org/model", files);
    hub.intercept = ({ place }, response) => {
      if (place !== "store") return false;
      // Slowly, so that both are there.
      response.writeHead(200, { "Content-Length": weights.length });
      response.write(weights.subarray(0, 100_000));
      setTimeout(() => response.end(weights.subarray(100_000)), 3000);
      return true;
    };
    const both = await Promise.all([startNode().ended, startNode().ended]);
    expect(both.map(({ code, err }) => [code, err])).toEqual([
      [0, ""],
      [0, ""],
    ]);
    expect(both[0]!.out).toBe(both[1]!.out);
    expect(stored()).toHaveLength(1);
    expect(content()).toEqual(weights);
  });

  it("a server that falls silent is left and asked for the rest", async () => {
    hub.add("org/model", files);
    env.HF_HUB_DOWNLOAD_TIMEOUT = "3";
    let isFirst = true;
    hub.intercept = ({ place }, response) => {
      if (place !== "store" || !isFirst) return false;
      isFirst = false;
      response.writeHead(200, { "Content-Length": weights.length });
      response.write(weights.subarray(0, 250_000));
      return true;
    };
    expect(await startNode().ended).toMatchObject({ code: 0, err: "" });
    expect(stored().map(({ range }) => range)).toEqual([undefined, "bytes=250000-"]);
    expect(content()).toEqual(weights);
  });

  it("one killed in the middle: the next goes on where it stopped", async () => {
    hub.add("org/model", files);
    const { child, ended } = startNode();
    const sent = new Promise<void>((done) => {
      hub.intercept = ({ place }, response) => {
        if (place !== "store") return false;
        response.writeHead(200, { "Content-Length": weights.length });
        response.write(weights.subarray(0, 250_000), () => done());
        return true;
      };
    });
    await sent;
    const blobs = join(home, "hub/models--org--model/blobs");
    const arrived = () =>
      readdirSync(blobs).some(
        (name) => name.endsWith(".incomplete") && readFileSync(join(blobs, name)).length === 250_000,
      );
    while (!arrived()) await new Promise((done) => setTimeout(done, 20));
    child.kill("SIGKILL");
    await ended;
    hub.intercept = () => false;
    const { code, err } = await startNode().ended;
    expect([code, err]).toEqual([0, ""]);
    expect(stored().map(({ range }) => range)).toEqual([undefined, "bytes=250000-"]);
    expect(content()).toEqual(weights);
    expect(readdirSync(blobs).filter((name) => name.includes("."))).toEqual([]);
  });
});
