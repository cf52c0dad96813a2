import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassLabel, Dataset } from "@wgrad/datasets";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { HubServer } from "../../../models/src/testing/hub-server.js";
import { Ui } from "../ui.js";
import { labelColumnOf, labelNamesOf, openDataset, textColumnOf } from "./data.js";

const ui = new Ui({ live: false });
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wgrad-open-"));
  vi.spyOn(ui, "note").mockImplementation(() => {});
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const imdb = 'review,sentiment\n"Fine, really.<br />",positive\n"A ""bore""",negative\n';

describe("a file or folder", () => {
  it("IMDB's CSV: columns and classes by convention", async () => {
    writeFileSync(join(folder, "IMDB Dataset.csv"), imdb);
    const train = (await openDataset(join(folder, "IMDB Dataset.csv"), { ui })).get("train");
    expect(textColumnOf(train, null)).toBe("review");
    expect(labelColumnOf(train, null)).toBe("sentiment");
    expect(labelNamesOf(train, "sentiment")).toEqual(["negative", "positive"]);
    expect(train.column("sentiment")).toEqual(Int32Array.of(1, 0));
  });

  it("a configuration behind a colon", async () => {
    for (const name of ["a", "b"]) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "train.jsonl"), `{"text":"${name}","label":0}\n`);
    }
    expect((await openDataset(`${folder}:b`, { ui })).get("train").at(0).text).toBe("b");
    await expect(openDataset(folder, { ui })).rejects.toThrow(/Name one of them: a, b/);
  });

  it("too many different texts are no classes; what is not there says so", async () => {
    const rows = Array.from({ length: 300 }, (_, i) => `x,name ${i}`).join("\n");
    writeFileSync(join(folder, "x.csv"), `text,label\n${rows}\n`);
    const { features } = (await openDataset(join(folder, "x.csv"), { ui })).get("train");
    expect(features.label).not.toBeInstanceOf(ClassLabel);
    await expect(openDataset("nowhere.csv", { ui })).rejects.toThrow(/no such file or folder/);
    await expect(openDataset("./nowhere", { ui })).rejects.toThrow(/no such file or folder/);
  });
});

describe("a data set of the hub", () => {
  let hub: HubServer;
  beforeEach(async () => {
    hub = await HubServer.start();
    vi.stubEnv("HF_ENDPOINT", hub.url);
    vi.stubEnv("HF_HOME", folder);
    for (const name of ["HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"]) vi.stubEnv(name, undefined);
  });
  afterEach(() => hub.stop());

  it("Parquet in a folder named by the card, then offline; only that configuration's files", async () => {
    const path = join(folder, "x.parquet");
    const features = { label: new ClassLabel(["neg", "pos"]) };
    Dataset.fromDict({ text: ["a", "b"], label: [0, 1] })
      .castColumn("label", features.label)
      .toParquet(path);
    const { readFileSync } = await import("node:fs");
    const parquet = readFileSync(path);
    const card =
      "---\nconfigs:\n- config_name: plain_text\n  data_files:\n  - split: train\n    path: plain_text/train-*\n  - split: test\n    path: plain_text/test-*\n---\n";
    const files = {
      "README.md": card,
      "plain_text/train-00000-of-00002.parquet": parquet,
      "plain_text/train-00001-of-00002.parquet": parquet,
      "plain_text/test-00000-of-00001.parquet": parquet,
      "other.parquet": parquet,
    };
    hub.add("org/imdb", files, { type: "dataset", refs: ["main", "v1"] });
    const dict = await openDataset("org/imdb@v1", { ui });
    expect(dict.numRows).toEqual({ train: 4, test: 2 });
    expect(dict.get("train").features.label).toEqual(features.label);
    expect(hub.downloads.some(({ path }) => path.includes("other"))).toBe(false);
    expect(vi.mocked(ui.note).mock.calls.flat().join("\n")).toMatch(/Downloading plain_text\/.* of 3\)/);
    await hub.stop();
    hub = await HubServer.start();
    expect((await openDataset("org/imdb@v1", { ui, offline: true })).numRows).toEqual({ train: 4, test: 2 });
    await expect(openDataset("org/imdb", { ui, offline: true })).rejects.toThrow(/org\/imdb is neither/);
  });

  it("CSV, a configuration, and a repository without data", async () => {
    hub.add("org/two", { "a/train.csv": imdb, "b/train.csv": imdb, "b/test.csv": imdb }, { type: "dataset" });
    const dict = await openDataset("org/two:b", { ui });
    expect(dict.splits).toEqual(["train", "test"]);
    expect(dict.get("test").features.sentiment).toEqual(new ClassLabel(["negative", "positive"]));
    await expect(openDataset("org/two", { ui })).rejects.toThrow(/Name one of them: a, b/);
    hub.add("org/script", { "script.py": "x" }, { type: "dataset" });
    await expect(openDataset("org/script", { ui })).rejects.toThrow(/try org\/script@refs\/convert\/parquet/);
  });
});
