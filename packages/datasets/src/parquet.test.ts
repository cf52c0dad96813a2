import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Dataset } from "./dataset.js";
import { ClassLabel, Sequence, Value } from "./features.js";
import { loadDataset } from "./load-dataset.js";
import { sharedData, temporaryFolder, thrownBy } from "./testing/helpers.js";

const features = { text: new Value("string"), label: new ClassLabel(["neg", "pos"]) };

function sample(n: number, first = 0): Dataset<{ text: string; label: number }> {
  const rows = Array.from({ length: n }, (_, i) => ({ text: `sentence ${first + i}`, label: i % 2 }));
  return Dataset.fromList(rows, features);
}

describe("written and read back", () => {
  test("values of every kind, nulls and features", () => {
    const path = join(temporaryFolder(), "all.parquet");
    const all = {
      text: ["a", "", "ünï\u{1f600}"],
      label: [0, 1, -1],
      whole: [1, 2 ** 53 - 1, null],
      huge: [2n ** 62n, -(2n ** 62n), 2n ** 60n],
      real: [0.5, null, Number.NaN],
      flag: [true, false, null],
      ids: [Int32Array.of(1, -2), new Int32Array(0), null],
      words: [["x", null], [], ["y"]],
      raw: [Uint8Array.of(0, 255), new Uint8Array(0), null],
      image: [{ bytes: Uint8Array.of(1), path: "p.png" }, { bytes: null, path: null }, null],
    };
    const declared = {
      ...features,
      whole: new Value("int64"),
      huge: new Value("int64"),
      real: new Value("float64"),
      flag: new Value("bool"),
      ids: new Sequence(new Value("int32")),
      words: new Sequence(new Value("string")),
      raw: new Value("binary"),
      image: { bytes: new Value("binary"), path: new Value("string") },
    };
    const written = Dataset.fromDict(all, declared);
    written.toParquet(path, { rowGroupSize: 2 });
    const read = Dataset.fromParquet(path);
    expect(read.features).toEqual(written.features);
    expect(read.slice()).toEqual(written.slice());
    expect(read.column("label")).toEqual(Int32Array.of(0, 1, -1));
    expect(read.column("huge")).toEqual(BigInt64Array.of(2n ** 62n, -(2n ** 62n), 2n ** 60n));
    expect(read.column("whole")).toEqual([1, 2 ** 53 - 1, null]);
  });

  test("nothing but the file is left in the folder, and a failed write leaves the old file", () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.parquet");
    sample(3).toParquet(path);
    expect(readdirSync(folder)).toEqual(["a.parquet"]);
    const before = readFileSync(path);
    const error = thrownBy(() => sample(4).toParquet(join(path, "inside-a-file.parquet")));
    expect(error.code).toBe("E_WRITE");
    expect(readFileSync(path)).toEqual(before);
  });

  test("an empty data set is written and read", () => {
    const path = join(temporaryFolder(), "empty.parquet");
    sample(0).toParquet(path);
    const read = Dataset.fromParquet(path);
    expect(read.numRows).toBe(0);
    expect(read.features).toEqual(features);
    expect(thrownBy(() => read.at(0)).code).toBe("E_EMPTY");
  });
});

describe("row groups are streamed", () => {
  test("opening reads no row, a row reads its own group, a column reads that column alone", () => {
    const path = join(temporaryFolder(), "big.parquet");
    sample(10_000).toParquet(path, { rowGroupSize: 100 });
    const read = Dataset.fromParquet(path);
    const statistics = read.readStatistics!;
    expect(statistics).toMatchObject({ rowGroups: 100, columnReads: 0, bytesRead: 0 });

    expect(read.at(4321)).toEqual({ text: "sentence 4321", label: 1 });
    expect(statistics.columnReads).toBe(2);
    expect(statistics.bytesRead).toBeLessThan(readFileSync(path).length / 20);

    expect(read.column("label")).toHaveLength(10_000);
    expect(statistics.columnReads).toBe(2 + 99);
  });

  test("no more than the cache stays in memory, and the values are the same", () => {
    const path = join(temporaryFolder(), "big.parquet");
    sample(10_000).toParquet(path, { rowGroupSize: 100 });
    const cacheBytes = 40_000;
    const read = Dataset.fromParquet<{ text: string; label: number }>(path, { cacheBytes });
    let i = 0;
    for (const row of read) expect(row.text).toBe(`sentence ${i++}`);
    const statistics = read.readStatistics!;
    expect(i).toBe(10_000);
    expect(statistics.columnReads).toBe(200);
    expect(statistics.peakCachedBytes).toBeLessThanOrEqual(cacheBytes);
    const whole = Dataset.fromParquet(path);
    whole.column("text");
    expect(statistics.peakCachedBytes).toBeLessThan(whole.readStatistics!.peakCachedBytes / 5);
  });

  test("a batch in any order reads each row group once", () => {
    const path = join(temporaryFolder(), "big.parquet");
    sample(1000).toParquet(path, { rowGroupSize: 100 });
    const read = Dataset.fromParquet(path, { cacheBytes: 1 });
    const order = Array.from({ length: 1000 }, (_, i) => (i * 617) % 1000);
    expect(read.batch(order, ["text"]).text).toEqual(order.map((i) => `sentence ${i}`));
    expect(read.readStatistics!.columnReads).toBe(10);
    expect(read.shuffle({ seed: 1 }).column("label")).toHaveLength(1000);
    expect(read.readStatistics!.columnReads).toBe(20);
  });
});

describe("bad files say what was found and what to do", () => {
  const cases: [name: string, spoil: (bytes: Buffer) => Uint8Array, code: string, text: RegExp][] = [
    [
      "text",
      () => Buffer.from("version https://git-lfs…"),
      "E_NOT_PARQUET",
      /begins with "PAR1", this one with "vers"/,
    ],
    ["0 bytes", () => Buffer.alloc(0), "E_NOT_PARQUET", /is empty/],
    ["only a beginning", (b) => b.subarray(0, 6), "E_PARQUET_TRUNCATED", /only 6 bytes/],
    ["cut short", (b) => b.subarray(0, b.length / 2), "E_PARQUET_TRUNCATED", /no footer at its end/],
    [
      "footer length",
      (b) => setUint32(b, b.length - 8, 0x7fffffff),
      "E_PARQUET_CORRUPT",
      /footer of 2147483647 bytes/,
    ],
    [
      "footer",
      (b) => fill(b, b.length - 8 - b.readUInt32LE(b.length - 8), b.length - 8),
      "E_PARQUET_CORRUPT",
      /footer cannot be read/,
    ],
    [
      "no rows in front",
      (b) => Buffer.concat([b.subarray(0, 4), b.subarray(-1500)]),
      "E_PARQUET_CORRUPT",
      /damaged/,
    ],
    ["data", (b) => fill(b, 30, 200), "E_PARQUET_CORRUPT", /column "text" of row group 0 cannot be decoded/],
    [
      "encrypted",
      (b) => Buffer.concat([b.subarray(0, -4), Buffer.from("PARE")]),
      "E_PARQUET_ENCRYPTED",
      /encrypted/,
    ],
  ];

  test.each(cases)("%s", (_, spoil, code, text) => {
    const path = join(temporaryFolder(), "bad.parquet");
    sample(500).toParquet(path);
    writeFileSync(path, spoil(readFileSync(path)));
    const error = thrownBy(() => Dataset.fromParquet(path).slice());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(text);
    expect(error.message).toContain(path);
    expect(error.fix.length).toBeGreaterThan(10);
  });

  test("after a damaged file, a good one is still read", () => {
    const folder = temporaryFolder();
    const [bad, good] = [join(folder, "bad.parquet"), join(folder, "good.parquet")];
    sample(500).toParquet(good);
    writeFileSync(bad, fill(readFileSync(good), 30, 200));
    expect(thrownBy(() => Dataset.fromParquet(bad).column("text")).code).toBe("E_PARQUET_CORRUPT");
    expect(Dataset.fromParquet(good).at(499)).toEqual({ text: "sentence 499", label: 1 });
  });

  test("cut short at every length", () => {
    const path = join(temporaryFolder(), "cut.parquet");
    sample(20).toParquet(path);
    const bytes = readFileSync(path);
    for (let n = 0; n < bytes.length; n += 7) {
      writeFileSync(path, bytes.subarray(0, n));
      expect(thrownBy(() => Dataset.fromParquet(path)).code).toMatch(/TRUNCATED|NOT_PARQUET|CORRUPT/);
    }
  });

  test("a label outside the range names file, row and classes", () => {
    const path = join(temporaryFolder(), "labels.parquet");
    Dataset.fromDict(
      { text: ["a", "b", "c"], label: [0, 1, 2] },
      {
        text: new Value("string"),
        label: new ClassLabel(["a", "b", "c"]),
      },
    ).toParquet(path, { rowGroupSize: 1 });
    const bytes = readFileSync(path).toString("latin1").replaceAll('["a","b","c"]', '["a","bbbbb"]');
    writeFileSync(path, bytes, "latin1");
    const read = Dataset.fromParquet(path);
    expect(read.at(1)).toEqual({ text: "b", label: 1 });
    const error = thrownBy(() => read.at(2));
    expect(error.code).toBe("E_LABEL_RANGE");
    expect(error.message).toContain(`${path}, column "label": label 2 in row 2 is outside 0 … 1 (a, bbbbb)`);
    const made = thrownBy(() => Dataset.fromDict({ text: ["a"], label: [2] }, features));
    expect(made.code).toBe("E_LABEL_RANGE");
  });

  test("a file that changed since it was opened", () => {
    const path = join(temporaryFolder(), "changing.parquet");
    sample(50).toParquet(path);
    const read = Dataset.fromParquet(path);
    sample(500).toParquet(path);
    expect(thrownBy(() => read.at(0)).code).toBe("E_FILE_CHANGED");
  });

  test("files of one split with other columns", () => {
    const folder = temporaryFolder();
    sample(5).toParquet(join(folder, "a.parquet"));
    sample(5).renameColumn("text", "sentence").toParquet(join(folder, "b.parquet"));
    const error = thrownBy(() => Dataset.fromParquet([join(folder, "a.parquet"), join(folder, "b.parquet")]));
    expect(error.code).toBe("E_SCHEMA_MISMATCH");
    expect(error.message).toContain("sentence, label");
  });
});

describe("loadDataset", () => {
  test("finds splits by Hugging Face's names, also in data/, shards in order", () => {
    const folder = temporaryFolder();
    const data = join(folder, "data");
    sample(3).toParquet(join(data, "train-00000-of-00002.parquet"));
    sample(4, 3).toParquet(join(data, "train-00001-of-00002.parquet"));
    sample(2).toParquet(join(data, "dev-00000-of-00001.parquet"));
    sample(1).toParquet(join(data, "extra-00000-of-00001.parquet"));
    const dict = loadDataset<{ text: string; label: number }>(folder);
    expect(dict.splits).toEqual(["train", "validation", "extra"]);
    expect(dict.get("train").column("text")).toEqual(Array.from({ length: 7 }, (_, i) => `sentence ${i}`));
    expect(dict.get("train").at(5)).toEqual({ text: "sentence 5", label: 0 });
    expect(loadDataset(folder, { split: "validation" }).numRows).toBe(2);

    const error = thrownBy(() => dict.get("test"));
    expect(error.code).toBe("E_SPLIT_MISSING");
    expect(error.message).toContain('there is no split "test". Its splits are: train, validation, extra.');
    expect(thrownBy(() => loadDataset(folder, { split: "tset" })).code).toBe("E_SPLIT_MISSING");
  });

  test("a single file, and sub-folders named after splits", () => {
    const folder = temporaryFolder();
    sample(3).toParquet(join(folder, "test", "part-0.parquet"));
    sample(4).toParquet(join(folder, "train.parquet"));
    expect(loadDataset(folder).numRows).toEqual({ train: 4, test: 3 });
    expect(loadDataset(join(folder, "train.parquet")).numRows).toEqual({ train: 4 });
  });

  test("a folder without data, a path that is not there, a missing shard", () => {
    const folder = temporaryFolder();
    expect(thrownBy(() => loadDataset(folder)).message).toContain("holds no .parquet file");
    expect(thrownBy(() => loadDataset(join(folder, "nowhere"))).code).toBe("E_FILE_NOT_FOUND");
    sample(3).toParquet(join(folder, "train-00001-of-00003.parquet"));
    const error = thrownBy(() => loadDataset(folder));
    expect(error.code).toBe("E_SHARD_MISSING");
    expect(error.message).toContain("train-00000-of-00003.parquet, train-00002-of-00003.parquet");
  });
});

const rottenTomatoes = sharedData("rotten_tomatoes");
describe.skipIf(rottenTomatoes === undefined)("Rotten Tomatoes, written by Python's datasets", () => {
  test("splits, features and rows", () => {
    const dict = loadDataset<{ text: string; label: number }>(rottenTomatoes!);
    expect(dict.numRows).toEqual({ train: 8530, validation: 1066, test: 1066 });
    const train = dict.get("train");
    expect(train.features).toEqual(features);
    expect(train.at(0).text).toMatch(/^the rock is destined to be the 21st century's new " conan "/);
    const labels = train.column("label") as Int32Array;
    expect(labels).toBeInstanceOf(Int32Array);
    expect(labels.reduce((sum, label) => sum + label, 0)).toBe(4265);
    expect(train.filter((row) => row.label === 1).numRows).toBe(4265);
  });
});

const tinyImageNet = sharedData("tiny_imagenet");
describe.skipIf(tinyImageNet === undefined)("Tiny ImageNet, 40 MB in four shards", () => {
  test("labels are read without the pictures, and a picture by itself", () => {
    const train = loadDataset(tinyImageNet!, { split: "train" });
    expect(train.numRows).toBe(20_000);
    expect(new Set(train.column("label") as Int32Array).size).toBe(200);
    expect(train.readStatistics!.bytesRead).toBeLessThan(10_000);
    const { image } = train.at(17_000) as { image: { bytes: Uint8Array; path: string } };
    expect([...image.bytes.subarray(0, 3)]).toEqual([0xff, 0xd8, 0xff]);
    expect(image.path).toMatch(/JPEG$/);
  });
});

function setUint32(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt32LE(value, at);
  return changed;
}

function fill(bytes: Buffer, from: number, to: number): Buffer {
  return Buffer.from(bytes).fill(0xee, from, to);
}
