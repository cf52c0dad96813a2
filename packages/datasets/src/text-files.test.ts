import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { globToRegExp } from "./data-files.js";
import { ClassLabel, Dataset, findDataFiles, loadDataset, Value } from "./index.js";
import { temporaryFolder, thrownBy } from "./testing/helpers.js";

function put(files: Readonly<Record<string, string | Buffer>>): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

const csv = (content: string | Buffer, name = "x.csv"): string => join(put({ [name]: content }), name);
const dtypes = (dataset: Dataset): unknown =>
  Object.fromEntries(Object.entries(dataset.features).map(([name, f]) => [name, (f as Value).dtype]));

describe("CSV", () => {
  test("quotes, doubled quotes, delimiters and line breaks in fields, a byte order mark, CRLF, blank lines", () => {
    const path = csv(
      '\uFEFFreview,sentiment\r\n"a ""good"", fine\r\nfilm<br />",positive\r\n\r\nbore,negative\r\n"",""\r\n',
    );
    const rows = Dataset.fromCsv(path);
    expect(rows.slice()).toEqual([
      { review: 'a "good", fine\r\nfilm<br />', sentiment: "positive" },
      { review: "bore", sentiment: "negative" },
      { review: "", sentiment: "" },
    ]);
  });

  test("columns get the narrowest type that all values fit", () => {
    const rows = Dataset.fromCsv(
      csv(
        "int,float,bool,text,id,big,gap,none,mixed\n1,1,true,a,007,12345678901234567890,,,1\n-2,.5,FALSE,1,1,1,3,,x\n 3 ,1e-5,True,2,2,2,4.5,,2\n",
      ),
    );
    expect(dtypes(rows)).toEqual({
      int: "int64",
      float: "float64",
      bool: "bool",
      text: "string",
      id: "string",
      big: "string",
      gap: "float64",
      none: "string",
      mixed: "string",
    });
    expect(rows.column("int")).toEqual(Float64Array.of(1, -2, 3));
    expect(rows.column("float")).toEqual(Float64Array.of(1, 0.5, 1e-5));
    expect(rows.column("bool")).toEqual([true, false, true]);
    expect(rows.column("gap")).toEqual([null, 3, 4.5]);
    expect(rows.column("id")).toEqual(["007", "1", "2"]);
  });

  test("features decide where they are given", () => {
    const path = csv("text,label,score\n1,pos,2\n2,0,\n3,,1\n");
    const features = {
      text: new Value("string"),
      label: new ClassLabel(["neg", "pos"]),
      score: new Value("float32"),
    };
    const rows = Dataset.fromCsv(path, { features });
    expect(rows.column("text")).toEqual(["1", "2", "3"]);
    expect(rows.column("label")).toEqual(Int32Array.of(1, 0, -1));
    expect(rows.column("score")).toEqual([2, null, 1]);
    const error = thrownBy(() =>
      Dataset.fromCsv(csv('a,n\n"x\ny",1\nz,1.5\n'), { features: { n: new Value("int64") } }),
    );
    expect(error.code).toBe("E_VALUE");
    expect(error.message).toMatch(/x\.csv, line 4, column "n": "1\.5" is no int64/);
    expect(
      thrownBy(() => Dataset.fromCsv(path, { features: { lable: new Value("int64") } })).message,
    ).toMatch(/Did you mean "label"/);
  });

  test.each([
    ["a,b\n1,2\n1,2,3\n", /x\.csv, line 3: the row has 3 fields, the header 2 \(a, b\).*comma/],
    ["a,b\n1,2\n\n1\n", /x\.csv, line 4: the row has 1 field, the header 2/],
    ['a,b\n1,2\n3,"4\n5,6\n', /x\.csv, line 3, column "b": a quote is opened and never closed/],
    ['a,b\n1,"2"x\n', /x\.csv, line 2, column "b": behind a closing quote/],
    ['a,b\n1,2\n1,x"2"\n', /x\.csv, line 3, column "b": a quote stands inside/],
    ["a,a\n1,2\n", /columns 1 and 2 are both called "a"/],
    ["", /the file is empty/],
    [Buffer.from("a,b\n1,2\ncaf\xe9,2\n", "latin1"), /x\.csv: line 3 is not UTF-8.*iconv/],
  ])("an error names line and column: %j", (content, message) => {
    expect(thrownBy(() => Dataset.fromCsv(csv(content))).message).toMatch(message);
  });

  test("other delimiters, UTF-16, gzip, no header, the index that pandas writes", () => {
    const two = [{ a: "x,y", b: 1 }];
    expect(Dataset.fromCsv(csv("a;b\nx,y;1\n")).slice()).toEqual(two);
    expect(Dataset.fromCsv(csv("a\tb\nx,y\t1\n", "x.tsv")).slice()).toEqual(two);
    expect(Dataset.fromCsv(csv("a|b\nx,y|1\n"), { delimiter: "|" }).slice()).toEqual(two);
    expect(Dataset.fromCsv(csv(Buffer.from("\uFEFFa;b\nx,y;1\n", "utf16le"))).slice()).toEqual(two);
    expect(Dataset.fromCsv(csv(gzipSync("a;b\nx,y;1\n"), "x.csv.gz")).slice()).toEqual(two);
    expect(Dataset.fromCsv(csv('"x,y",1\n'), { columnNames: ["a", "b"] }).slice()).toEqual(two);
    expect(Dataset.fromCsv(csv(",a\n0,x\n")).columnNames).toEqual(["Unnamed: 0", "a"]);
  });

  test("shards one after another, columns by name; others are refused", () => {
    const folder = put({
      "train-00000-of-00002.csv": "a,b\n1,2\n",
      "train-00001-of-00002.csv": "b,a\n4,3\n",
    });
    expect(loadDataset(folder).get("train").slice()).toEqual([
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ]);
    const paths = ["a,b\n1,2\n", "a,c\n1,2\n"].map((text) => csv(text));
    expect(thrownBy(() => Dataset.fromCsv(paths)).code).toBe("E_SCHEMA_MISMATCH");
  });

  test("the size of IMDB's takes time in proportion", () => {
    const text = 'lorem ipsum, ""dolor"" sit amet <br /><br />\n'.repeat(30);
    const make = (rows: number) =>
      csv(
        `review,sentiment\n${Array.from({ length: rows }, (_, i) => `"${text}",${i % 2 ? "positive" : "negative"}`).join("\n")}`,
      );
    const time = (path: string, rows: number) => {
      const before = process.cpuUsage();
      expect(Dataset.fromCsv(path).numRows).toBe(rows);
      return process.cpuUsage(before).user;
    };
    const [small, large] = [make(1000), make(8000)];
    time(small, 1000);
    const [one, eight] = [time(small, 1000), time(large, 8000)];
    expect(eight / one).toBeLessThan(40);
  });
});

describe("JSON", () => {
  const jsonl = (content: string, name = "x.jsonl") => csv(content, name);

  test("lines and lists; keys that are missing are null; nested values", () => {
    const rows = Dataset.fromJson(
      jsonl('\uFEFF{"text":"a\\nb","label":1}\r\n\n{"text":"c","tags":["x"],"at":{"y":1.5}}'),
    );
    expect(rows.slice()).toEqual([
      { text: "a\nb", label: 1, tags: null, at: null },
      { text: "c", label: null, tags: ["x"], at: { y: 1.5 } },
    ]);
    expect(Dataset.fromJson(jsonl('[\n {"a": 1},\n {"a": 2}\n]', "x.json")).column("a")).toEqual(
      Float64Array.of(1, 2),
    );
    const named = Dataset.fromJson(jsonl('{"label":"pos"}\n{"label":0}'), {
      features: { label: new ClassLabel(["neg", "pos"]) },
    });
    expect(named.column("label")).toEqual(Int32Array.of(1, 0));
  });

  test.each([
    ['{"a":1}\n{"a":1,}\n', /x\.jsonl, line 2, column 8: not JSON/],
    ['{"a":1}\n{"a":', /x\.jsonl, line 2, column 6: not JSON/],
    ['{"a":1}\n[1]\n', /x\.jsonl, line 2: \[1\] is no object/],
    ['{"a":1}\n{"a":"x"}\n', /x\.jsonl, line 2, column "a": "x" is a string, but line 1 has a number/],
  ])("an error names line and column: %j", (content, message) => {
    expect(thrownBy(() => Dataset.fromJson(jsonl(content))).message).toMatch(message);
  });
});

describe("which files are data", () => {
  const splits = (files: string[], card: string | null = null, config?: string) => {
    const found = findDataFiles("x", files, card, config);
    return [found.config, found.format, Object.fromEntries(found.splits)];
  };

  test("by their names: beside, in data/, in folders of splits, in folders of configurations", () => {
    expect(splits(["test.csv", "train.csv", "README.md", "dataset_info.json"])).toEqual([
      "default",
      "csv",
      { train: ["train.csv"], test: ["test.csv"] },
    ]);
    expect(
      splits(["plain_text/test-00000-of-00001.parquet", "plain_text/train-00000-of-00001.parquet"]),
    ).toEqual([
      "plain_text",
      "parquet",
      {
        train: ["plain_text/train-00000-of-00001.parquet"],
        test: ["plain_text/test-00000-of-00001.parquet"],
      },
    ]);
    const glue = ["cola/train/0000.parquet", "sst2/train/0000.parquet", "sst2/validation/0000.parquet"];
    expect(splits(glue, null, "sst2")[2]).toEqual({ train: [glue[1]], validation: [glue[2]] });
    expect(thrownBy(() => splits(glue)).message).toMatch(
      /it has 2 configurations\. Name one of them: cola, sst2/,
    );
    expect(thrownBy(() => splits(glue, null, "mnli")).code).toBe("E_CONFIG");
    expect(splits(["data/train.jsonl", "data/x/y.csv"])[2]).toEqual({ train: ["data/train.jsonl"] });
    // Parquet goes before what it was made from.
    expect(splits(["train.csv", "dev.csv", "train.parquet"])[1]).toBe("parquet");
    expect(thrownBy(() => splits(["config.json", "model.safetensors"])).code).toBe("E_FILE_NOT_FOUND");
    expect(thrownBy(() => splits(["train-00000-of-00002.csv"])).message).toMatch(
      /missing: train-00001-of-00002\.csv/,
    );
  });

  test("by the card", () => {
    const card = (yaml: string) => `---\n${yaml}\n---\n# Text`;
    const files = ["a/train-00000-of-00001.parquet", "a/unsup.parquet", "b/x.csv", "b/y.csv"];
    const yaml = card(
      "license: mit\nconfigs:\n- config_name: a\n  default: true\n  data_files:\n  - split: train\n    path: a/train-*\n  - split: unsupervised\n    path: a/unsup.parquet\n- config_name: b\n  data_files: b/*.csv",
    );
    expect(splits(files, yaml)).toEqual(["a", "parquet", { train: [files[0]], unsupervised: [files[1]] }]);
    expect(splits(files, yaml, "b")).toEqual(["b", "csv", { train: ["b/x.csv", "b/y.csv"] }]);
    expect(thrownBy(() => splits([], yaml)).message).toMatch(/no file fits a\/train-\*/);
    expect(splits(files, card("configs:\n- config_name: c\n  data_dir: b\n"))[2]).toEqual({
      train: ["b/x.csv", "b/y.csv"],
    });
    expect(splits(["train.csv"], "---\n: {\n---\n")[2]).toEqual({ train: ["train.csv"] });
    expect(splits(["train.csv"], "no yaml")[2]).toEqual({ train: ["train.csv"] });
  });

  test("patterns", () => {
    const fits = (pattern: string, path: string) => globToRegExp(pattern).test(path);
    expect(fits("data/*.csv", "data/a.csv")).toBe(true);
    expect(fits("data/*.csv", "data/a/b.csv")).toBe(false);
    expect(fits("**/*.csv", "a/b/c.csv")).toBe(true);
    expect(fits("**/*.csv", "c.csv")).toBe(true);
    expect(fits("{a,b}-[0-9]?.csv", "b-1x.csv")).toBe(true);
    expect(fits("a.csv", "aXcsv")).toBe(false);
  });

  test("loadDataset: files, folders, the classes of the card", () => {
    const folder = put({
      "README.md":
        "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n    dtype:\n      class_label:\n        names:\n          '0': neg\n          '1': pos\n---\n",
      "train.jsonl": '{"text":"a","label":1}\n',
      "test.jsonl": '{"text":"b","label":-1}\n',
    });
    const dict = loadDataset(folder);
    expect(dict.get("train").features.label).toEqual(new ClassLabel(["neg", "pos"]));
    expect(dict.numRows).toEqual({ train: 1, test: 1 });
    const file = loadDataset(join(folder, "test.jsonl"));
    expect(file.splits).toEqual(["test"]);
    expect(loadDataset(csv("a\n1\n"), { split: "train" }).numRows).toBe(1);
  });
});

test("texts become classes, the same in all splits", () => {
  const folder = put({
    "train.csv": "review,sentiment\na,positive\nb,negative\n",
    "test.csv": "review,sentiment\nc,negative\nd,\ne,mixed\n",
  });
  const dict = loadDataset(folder).classEncodeColumn("sentiment");
  expect(dict.get("train").features.sentiment).toEqual(new ClassLabel(["mixed", "negative", "positive"]));
  expect(dict.get("test").column("sentiment")).toEqual(Int32Array.of(1, -1, 0));
  const train = loadDataset(folder).get("train");
  expect(train.classEncodeColumn("sentiment").column("sentiment")).toEqual(Int32Array.of(1, 0));
  expect(thrownBy(() => train.castColumn("sentiment", new ClassLabel(["positive"]))).code).toBe(
    "E_LABEL_UNKNOWN",
  );
  const numbers = Dataset.fromDict({ label: [0, 1] });
  expect(numbers.castColumn("label", new ClassLabel(["a", "b"])).column("label")).toEqual(
    Int32Array.of(0, 1),
  );
  expect(thrownBy(() => numbers.castColumn("label", new ClassLabel(["a"]))).code).toBe("E_LABEL_RANGE");
});
