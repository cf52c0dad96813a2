import { expect, test } from "vitest";
import { Dataset } from "./dataset.js";
import { ClassLabel, Sequence, Value } from "./features.js";
import { thrownBy } from "./testing/helpers.js";

interface Sample {
  text: string;
  label: number;
}
const features = { text: new Value("string"), label: new ClassLabel(["neg", "pos", "mixed"]) };
const sample = (n: number): Dataset<Sample> =>
  Dataset.fromList<Sample>(
    Array.from({ length: n }, (_, i) => ({ text: `t${i}`, label: i % 3 })),
    features,
  );

test("rows, slices, columns and iteration", () => {
  const data = sample(5);
  expect(data.numRows).toBe(5);
  expect(data.columnNames).toEqual(["text", "label"]);
  expect(data.at(1)).toEqual({ text: "t1", label: 1 });
  expect(data.at(-1)).toEqual({ text: "t4", label: 1 });
  expect(data.slice(1, 3).map((row) => row.text)).toEqual(["t1", "t2"]);
  expect(data.slice(-2)).toHaveLength(2);
  expect(data.column("label")).toEqual(Int32Array.of(0, 1, 2, 0, 1));
  expect([...data].map((row) => row.text)).toEqual(["t0", "t1", "t2", "t3", "t4"]);
  expect(data.batch([3, 0])).toEqual({ text: ["t3", "t0"], label: Int32Array.of(0, 0) });
  expect(data.rows([3, -1])).toEqual([data.at(3), data.at(4)]);
});

test("an index, a column and a seed that make no sense", () => {
  const data = sample(5);
  expect(thrownBy(() => data.at(5)).message).toContain("there is no row 5. It has 5 rows: 0 to 4");
  expect(thrownBy(() => data.at(1.5)).code).toBe("E_INDEX_RANGE");
  const error = thrownBy(() => data.column("lable"));
  expect(error.code).toBe("E_COLUMN_UNKNOWN");
  expect(error.fix).toBe('Did you mean "label"? Its columns are: text, label.');
  expect(thrownBy(() => data.removeColumns("zzzzzz")).fix).toBe("Its columns are: text, label.");
  expect(thrownBy(() => data.shuffle({ seed: -1 })).code).toBe("E_ARGUMENT");
});

test("map adds and replaces columns, keeps the rest and their features", () => {
  const mapped = sample(4).map((row, i) => ({ length: row.text.length + i, label: 2 - row.label }));
  expect(mapped.columnNames).toEqual(["text", "label", "length"]);
  expect(mapped.at(1)).toEqual({ text: "t1", label: 1, length: 3 });
  expect(mapped.features.label).toEqual(features.label);
  expect(mapped.features.length).toEqual(new Value("int64"));
  const bare = sample(4).map((row) => ({ ids: Int32Array.of(row.label) }), {
    removeColumns: ["text", "label"],
  });
  expect(bare.columnNames).toEqual(["ids"]);
  expect(bare.features).toEqual({ ids: new Sequence(new Value("int32")) });
  expect(thrownBy(() => sample(3).map(() => ({ label: 3 }), { features })).code).toBe("E_LABEL_RANGE");
});

test("map over batches may change the number of rows", () => {
  const doubled = sample(5).map((batch) => ({ word: Array.from(batch.text!).flatMap((t) => [t, t]) }), {
    batched: true,
    batchSize: 2,
    removeColumns: ["text", "label"],
  });
  expect(doubled.column("word")).toEqual(["t0", "t0", "t1", "t1", "t2", "t2", "t3", "t3", "t4", "t4"]);
  const error = thrownBy(() => sample(5).map(() => ({ word: ["a"] }), { batched: true }));
  expect(error.fix).toBe('Pass removeColumns: ["text","label"].');
  const upper = sample(3).map(
    (batch) => ({ text: Array.from(batch.text!, (t) => String(t).toUpperCase()) }),
    {
      batched: true,
    },
  );
  expect(upper.slice()).toEqual([
    { text: "T0", label: 0 },
    { text: "T1", label: 1 },
    { text: "T2", label: 2 },
  ]);
});

test("views compose: filter, select, shuffle, rename, map", () => {
  const view = sample(12)
    .filter((row) => row.label !== 1)
    .select([7, 0, 0, 3])
    .map((row) => ({ twice: row.label * 2 }))
    .select([3, 0])
    .renameColumn("text", "sentence");
  expect(view.slice()).toEqual([
    { sentence: "t5", label: 2, twice: 4 },
    { sentence: "t11", label: 2, twice: 4 },
  ]);
  expect(sample(5).take(2).numRows).toBe(2);
  expect(sample(5).skip(2).at(0)).toEqual({ text: "t2", label: 2 });
  expect(sample(2).selectColumns(["label"]).columnNames).toEqual(["label"]);
  expect(thrownBy(() => sample(2).renameColumn("text", "label")).code).toBe("E_ARGUMENT");
  const seen: string[][] = [];
  sample(1).filter((row) => seen.push(Object.keys(row)) > 0, { inputColumns: ["label"] });
  expect(seen).toEqual([["label"]]);
});

test("shuffle is a permutation that depends on the seed alone", () => {
  const order = sample(100).shuffle({ seed: 5 }).column("text");
  expect(sample(100).shuffle({ seed: 5 }).column("text")).toEqual(order);
  expect(sample(100).shuffle({ seed: 6 }).column("text")).not.toEqual(order);
  expect([...(order as string[])].sort()).toEqual([...(sample(100).column("text") as string[])].sort());
});

test("trainTestSplit shares no row, and rounds as scikit-learn does", () => {
  const dict = sample(10).trainTestSplit({ testSize: 0.25, seed: 1 });
  expect(dict.numRows).toEqual({ train: 7, test: 3 });
  const all = [
    ...(dict.get("train").column("text") as string[]),
    ...(dict.get("test").column("text") as string[]),
  ];
  expect(all.sort()).toEqual([...(sample(10).column("text") as string[])].sort());
  expect(sample(10).trainTestSplit({ testSize: 4, shuffle: false }).get("test").at(0).text).toBe("t6");
  expect(sample(10).trainTestSplit({ seed: 1 }).get("test").slice()).toEqual(dict.get("test").slice());
  expect(thrownBy(() => sample(10).trainTestSplit({ testSize: 10 })).code).toBe("E_ARGUMENT");
  expect(thrownBy(() => sample(0).trainTestSplit()).code).toBe("E_EMPTY");
});

test("a stratified split keeps the proportions", () => {
  const skewed = Dataset.fromDict(
    {
      text: Array.from({ length: 100 }, (_, i) => `t${i}`),
      label: Array.from({ length: 100 }, (_, i) => (i < 70 ? 0 : i < 95 ? 1 : 2)),
    },
    features,
  );
  const dict = skewed.trainTestSplit({ testSize: 20, seed: 3, stratifyByColumn: "label" });
  const counts = (split: string): number[] =>
    [0, 1, 2].map(
      (label) => (dict.get(split).column("label") as Int32Array).filter((l) => l === label).length,
    );
  expect(counts("test")).toEqual([14, 5, 1]);
  expect(counts("train")).toEqual([56, 20, 4]);
  const texts = [...dict].flatMap(([, split]) => split.column("text") as string[]);
  expect(new Set(texts).size).toBe(100);
  const error = thrownBy(() => skewed.trainTestSplit({ testSize: 2, stratifyByColumn: "label" }));
  expect(error.message).toContain('3 values of "label"');
});

test("columns of unequal length", () => {
  const error = thrownBy(() => Dataset.fromDict({ a: [1, 2], b: [1] }));
  expect(error.code).toBe("E_COLUMN_LENGTH");
  expect(error.message).toContain('column "b" has 1 values, "a" has 2');
});

test("a dict of splits changes them all at once", () => {
  const dict = sample(8)
    .trainTestSplit({ seed: 0 })
    .each((split) => split.removeColumns("label"));
  expect([...dict].map(([name, split]) => [name, split.columnNames])).toEqual([
    ["train", ["text"]],
    ["test", ["text"]],
  ]);
  expect(String(dict)).toBe("DatasetDict(train: 6, test: 2)");
});
