import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassLabel, loadDataset } from "@wgrad/datasets";
import { expect, onTestFinished, test } from "vitest";
import { BagOfWords } from "./baseline.js";
import {
  grammarVocabulary,
  makeSentimentDataset,
  type SentimentRow,
  writeSentimentDataset,
} from "./grammar.js";

const dataset = makeSentimentDataset();
const columns = new Map(
  [...dataset].map(([split, rows]) => [split, [rows.column("text"), rows.column("label")]]),
);
const texts = (split: string): string[] => columns.get(split)![0] as string[];
const labels = (split: string): Int32Array => columns.get(split)![1] as Int32Array;

test("one seed gives one data set, another seed another", () => {
  const small = { train: 50, validation: 10, test: 10 };
  const made = (seed: number): SentimentRow[][] =>
    [...makeSentimentDataset({ ...small, seed })].map(([, s]) => s.slice());
  expect(made(1)).toEqual(made(1));
  expect(made(1)).not.toEqual(made(2));
});

test("splits have their sizes and are balanced", () => {
  expect(dataset.numRows).toEqual({ train: 6000, validation: 600, test: 800 });
  for (const [split, rows] of dataset) {
    const positive = labels(split).reduce((sum, label) => sum + label, 0);
    expect(positive).toBe(rows.numRows / 2);
    expect(new Set(labels(split).subarray(0, 40)).size).toBe(2);
  }
});

test("no sentence comes twice, within or between splits", () => {
  const all = dataset.splits.flatMap(texts);
  expect(new Set(all).size).toBe(7400);
});

test("sentences are short and the vocabulary lists every word", () => {
  const vocabulary = new Set(grammarVocabulary());
  const used = new Set<string>();
  for (const text of dataset.splits.flatMap(texts)) {
    const words = text.split(" ");
    expect(words.length).toBeLessThanOrEqual(24);
    for (const word of words) used.add(word);
  }
  expect([...used].filter((word) => !vocabulary.has(word))).toEqual([]);
  expect([...vocabulary].filter((word) => !used.has(word))).toEqual([]);
});

test("length tells nothing about the label", () => {
  const byLength = new Map<number, [number, number]>();
  const length = (text: string): number => text.split(" ").length;
  for (const [i, text] of texts("train").entries()) {
    const counts = byLength.get(length(text)) ?? [0, 0];
    counts[labels("train")[i]!]!++;
    byLength.set(length(text), counts);
  }
  const guess = (text: string): number => {
    const [negative, positive] = byLength.get(length(text)) ?? [0, 0];
    return positive > negative ? 1 : 0;
  };
  const right = texts("test").filter((text, i) => guess(text) === labels("test")[i]).length;
  // 800 guesses at 50%: the standard deviation is 1.8 points.
  expect(right / 800).toBeLessThan(0.57);
});

test("a bag of words stays under 85%, and well above chance", () => {
  const baseline = BagOfWords.train(texts("train"), labels("train"));
  const accuracy = baseline.accuracy(texts("test"), labels("test"));
  console.log(`bag of words: ${(100 * accuracy).toFixed(1)}% of the test split`);
  expect(accuracy).toBeLessThan(0.85);
  expect(accuracy).toBeGreaterThan(0.6);
});

test("the written folder is a data set of two classes, the same bytes each time", () => {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-quickstart-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const size = { train: 60, validation: 20, test: 20 };
  writeSentimentDataset(folder, size);
  const bytes = readFileSync(join(folder, "train.parquet"));
  const read = loadDataset<SentimentRow>(folder);
  expect(read.numRows).toEqual(size);
  expect(read.get("train").features.label).toEqual(new ClassLabel(["neg", "pos"]));
  expect(read.get("test").slice()).toEqual(makeSentimentDataset(size).get("test").slice());
  writeSentimentDataset(folder, size);
  expect(readFileSync(join(folder, "train.parquet"))).toEqual(bytes);
});
