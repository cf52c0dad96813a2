import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AutoTokenizer } from "@wgrad/models/node";
import { expect, onTestFinished, test } from "vitest";
import { allCaptions } from "./shapes.js";
import { byteCharacters, clipVocabulary, learnMerges, writeClipTokenizer } from "./tokenizer.js";

test("the bytes stand in CLIP's order", () => {
  const bytes = byteCharacters();
  expect(new Set(bytes).size).toBe(256);
  // Ids 0, 1 and 255 of openai/clip-vit-base-patch16.
  expect([bytes[0], bytes[1], bytes[255]]).toEqual(["!", '"', "Ń"]);
});

test("the most frequent pair is merged first", () => {
  expect(learnMerges(["low low lower"]).slice(0, 3)).toEqual([
    ["l", "o"],
    ["lo", "w</w>"],
    ["e", "r</w>"],
  ]);
});

test("every word of the captions is one token, whatever its case; others are spelt", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-tokenizer-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const captions = allCaptions();
  const { vocabSize, bosTokenId, eosTokenId } = await writeClipTokenizer(folder, captions, 16);
  const tokenizer = await AutoTokenizer.fromPretrained(folder);
  expect([bosTokenId, eosTokenId]).toEqual([vocabSize - 2, vocabSize - 1]);
  expect(vocabSize).toBe(clipVocabulary(learnMerges(captions)).length);
  const { inputIds } = tokenizer(captions);
  captions.forEach((caption, i) => {
    expect(inputIds[i]).toHaveLength(caption.split(" ").length + 2);
    expect(inputIds[i]![0]).toBe(bosTokenId);
    expect(inputIds[i]!.at(-1)).toBe(eosTokenId);
  });
  expect(tokenizer("A  Small RED circle").inputIds).toEqual(tokenizer("a small red circle").inputIds);
  expect(tokenizer("zebra").inputIds.length).toBeGreaterThan(3);
  const padded = tokenizer(["a red ring"], { padding: "max_length", maxLength: 8 });
  expect(padded.inputIds[0]!.slice(4)).toEqual([eosTokenId, eosTokenId, eosTokenId, eosTokenId]);
  const vocabulary = JSON.parse(readFileSync(join(folder, "vocab.json"), "utf8"));
  expect(Object.keys(vocabulary)).toHaveLength(vocabSize);
  expect(readFileSync(join(folder, "merges.txt"), "utf8").split("\n")).toHaveLength(vocabSize - 2 - 512 + 2);
});
