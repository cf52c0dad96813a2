import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { grammarVocabulary } from "./grammar.js";
import { wordPieceTokenizer, wordPieceVocabulary, writeWordPieceTokenizer } from "./tokenizer.js";

test("special tokens come first, every word is a token once, letters spell the rest", () => {
  const vocabulary = wordPieceVocabulary(grammarVocabulary());
  expect(vocabulary.slice(0, 5)).toEqual(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
  expect(new Set(vocabulary).size).toBe(vocabulary.length);
  for (const token of ["dull", "although", ",", "x", "##x", "##9"]) expect(vocabulary).toContain(token);
});

test("the written files agree with each other", () => {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-tokenizer-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const size = writeWordPieceTokenizer(folder, ["good", "bad"], 64);
  expect(readdirSync(folder).sort()).toEqual([
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
  ]);
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
  const lines = readFileSync(join(folder, "vocab.txt"), "utf8").trimEnd().split("\n");
  const { model, added_tokens, post_processor } = read("tokenizer.json");
  expect(lines).toHaveLength(size);
  expect(lines.map((token) => model.vocab[token])).toEqual(lines.map((_, i) => i));
  expect(added_tokens.map((token: { id: number }) => token.id)).toEqual([0, 1, 2, 3, 4]);
  expect(post_processor.special_tokens["[CLS]"].ids).toEqual([2]);
  expect(read("tokenizer_config.json")).toMatchObject({
    tokenizer_class: "DistilBertTokenizer",
    model_max_length: 64,
  });
});

test("the parts that Hugging Face's tokenizers expects, in its order", () => {
  expect(Object.keys(wordPieceTokenizer(wordPieceVocabulary([])))).toEqual([
    "version",
    "truncation",
    "padding",
    "added_tokens",
    "normalizer",
    "pre_tokenizer",
    "post_processor",
    "decoder",
    "model",
  ]);
});
