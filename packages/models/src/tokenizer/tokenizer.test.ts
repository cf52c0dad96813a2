import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../errors.js";
import { AutoTokenizer, type PreTrainedTokenizer, runTokenizerCases, type TokenizerFiles } from "./index.js";
import { AutoTokenizer as NodeAutoTokenizer } from "./node.js";

interface Fixture {
  tokenizer: object;
  cases: { text: string; ids: number[]; offsets: [number, number][] }[];
}

const fixture: Fixture = JSON.parse(
  readFileSync(join(import.meta.dirname, "fixtures/tiny-bert.json"), "utf8"),
);
const special = {
  unk_token: "[UNK]",
  cls_token: "[CLS]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  mask_token: "[MASK]",
};

function tiny(config: object = {}, files: Partial<TokenizerFiles> = {}): PreTrainedTokenizer {
  const tokenizerConfig = {
    ...special,
    tokenizer_class: "DistilBertTokenizer",
    model_max_length: 16,
    ...config,
  };
  return AutoTokenizer.fromFiles({ tokenizerJson: fixture.tokenizer, tokenizerConfig, ...files });
}

function failure(act: () => unknown): TokenizerError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    return error as TokenizerError;
  }
  throw new Error("expected a TokenizerError");
}

describe("ids and offsets against Python's tokenizers", () => {
  const tokenizer = tiny({ model_max_length: 512 });
  it.each(fixture.cases)("$text", ({ text, ids, offsets }) => {
    const got = tokenizer(text, { returnOffsetsMapping: true });
    expect(got.inputIds).toEqual(ids);
    expect(got.offsetMapping).toEqual(offsets);
  });

  it("gives offsets for slice on request", () => {
    const text = "😀 the 😀film";
    const { offsetMapping } = tokenizer(text, { returnOffsetsMapping: true, offsetUnit: "utf16" });
    expect(offsetMapping!.map(([begin, end]) => text.slice(begin, end))).toEqual([
      "",
      "😀",
      "the",
      "😀film",
      "",
    ]);
  });
});

describe("tokenizers of other kinds, which the library handles by itself", () => {
  const splitting = { pre_tokenizer: { type: "WhitespaceSplit" } };
  const prepending = {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "" },
      { type: "Sequence", normalizers: [{ type: "Lowercase" }] },
    ],
  };
  it.each([
    ["BERT's normaliser", splitting],
    ["a sequence of normalisers", { ...splitting, normalizer: prepending }],
  ])("%s: same lower case, no offsets", (_, change) => {
    const tokenizer = tiny({}, { tokenizerJson: { ...fixture.tokenizer, ...change } });
    expect(tokenizer.encode("ΟΔΟΣ FILM")).toEqual([2, 13, 6, 3]);
    expect(tokenizer.encode("")).toEqual([2, 3]);
    expect(failure(() => tokenizer("film", { returnOffsetsMapping: true })).code).toBe("E_TOKENIZER_OFFSETS");
  });
});

describe("calls", () => {
  const tokenizer = tiny();

  it("empty text is [CLS] [SEP]", () => expect(tokenizer.encode("")).toEqual([2, 3]));

  it("one text gives rows of numbers, a list gives a batch", () => {
    expect(tokenizer("the film")).toEqual({ inputIds: [2, 5, 6, 3], attentionMask: [1, 1, 1, 1] });
    expect(tokenizer(["the", "the film"])).toEqual({
      inputIds: [
        [2, 5, 3],
        [2, 5, 6, 3],
      ],
      attentionMask: [
        [1, 1, 1],
        [1, 1, 1, 1],
      ],
    });
    expect(tokenizer([])).toEqual({ inputIds: [], attentionMask: [] });
  });

  it("pads to the longest, to a length, to a multiple, on either side", () => {
    const texts = ["the", "the film"];
    expect(tokenizer(texts, { padding: true }).inputIds).toEqual([
      [2, 5, 3, 0],
      [2, 5, 6, 3],
    ]);
    expect(tokenizer(texts, { padding: "max_length", maxLength: 6 }).attentionMask).toEqual([
      [1, 1, 1, 0, 0, 0],
      [1, 1, 1, 1, 0, 0],
    ]);
    expect(tokenizer(texts, { padding: "max_length" }).inputIds[0]).toHaveLength(16);
    expect(tokenizer(texts, { padding: "longest", padToMultipleOf: 8 }).inputIds[1]).toHaveLength(8);
    expect(tiny({ padding_side: "left" })(texts, { padding: true }).inputIds[0]).toEqual([0, 2, 5, 3]);
  });

  it("truncates, keeping the special tokens", () => {
    const text = "the film the film the film the film the film";
    expect(tokenizer.encode(text)).toHaveLength(12);
    expect(tokenizer.encode(text, { truncation: true, maxLength: 5 })).toEqual([2, 5, 6, 5, 3]);
    expect(tokenizer.encode(text, { maxLength: 4 })).toEqual([2, 5, 6, 3]);
    expect(tokenizer.encode(text, { maxLength: 4, truncation: false })).toHaveLength(12);
    expect(tiny({ model_max_length: 7 }).encode(text, { truncation: true })).toHaveLength(7);
    expect(
      tiny({ truncation_side: "left" }).encode("the film .", { truncation: true, maxLength: 4 }),
    ).toEqual([2, 6, 15, 3]);
    expect(tiny({ model_max_length: 1e30 }).encode(text, { truncation: true })).toHaveLength(12);
  });

  it("puts pairs together, with types where asked for or usual", () => {
    const pair = tokenizer("the", {
      textPair: "film",
      returnTokenTypeIds: true,
      returnSpecialTokensMask: true,
    });
    expect(pair).toEqual({
      inputIds: [2, 5, 3, 6, 3],
      attentionMask: [1, 1, 1, 1, 1],
      tokenTypeIds: [0, 0, 0, 1, 1],
      specialTokensMask: [1, 0, 1, 0, 1],
    });
    expect(tiny({ tokenizer_class: "BertTokenizer" })("the").tokenTypeIds).toEqual([0, 0, 0]);
  });

  it("pads rows as a collator has them", () => {
    const rows = [tokenizer("the"), tokenizer("the film .")];
    const batch = tokenizer.pad(rows, { padToMultipleOf: 4 });
    expect(batch.inputIds.map((row) => row.length)).toEqual([8, 8]);
    expect(rows[0]!.inputIds).toEqual([2, 5, 3]);
  });

  it("names what it cannot do", () => {
    expect(failure(() => tiny({ pad_token: null })(["the"], { padding: true })).message).toContain(
      "pad_token",
    );
    expect(failure(() => tokenizer(["the"], { textPair: ["a", "b"] })).message).toMatch(
      /1 texts but 2 textPair/,
    );
    expect(failure(() => tokenizer(["the", null as unknown as string])).message).toMatch(/text 1 is null/);
    expect(failure(() => tokenizer("the film", { maxLength: 1, truncation: true })).message).toMatch(
      /no room for the 2 special/,
    );
    const short = () =>
      tokenizer("the", { textPair: "film film film", truncation: "only_first", maxLength: 4 });
    expect(failure(short).message).toMatch(/"only_first": 4 tokens must lose 3.*only 1/);
    const clash = () =>
      tokenizer(["the"], { padding: true, truncation: true, maxLength: 12, padToMultipleOf: 8 });
    expect(failure(clash).code).toBe("E_TOKENIZER_PADDING");
  });
});

describe("the other way", () => {
  const tokenizer = tiny();

  it("decodes", () => {
    const ids = tokenizer.encode("The films, unaffable!");
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("the films, unaffable!");
    expect(tokenizer.decode(ids)).toBe("[CLS] the films, unaffable! [SEP]");
    expect(tokenizer.batchDecode([[5, 6], [], [5, 99999]])).toEqual(["the film", "", "the"]);
  });

  it("converts", () => {
    expect(tokenizer.convertTokensToIds(["the", "nonsense", "[SEP]"])).toEqual([5, 1, 3]);
    expect(tokenizer.convertTokensToIds("film")).toBe(6);
    expect(tokenizer.convertIdsToTokens([2, 5, 7], { skipSpecialTokens: true })).toEqual(["the", "##s"]);
    expect(failure(() => tokenizer.convertIdsToTokens(12345)).message).toMatch(/12345/);
    expect(tokenizer.tokenize("films")).toEqual(["film", "##s"]);
  });

  it("knows its special tokens", () => {
    const { padTokenId, unkTokenId, clsTokenId, sepTokenId, maskTokenId, bosTokenId, modelMaxLength } =
      tokenizer;
    expect([padTokenId, unkTokenId, clsTokenId, sepTokenId, maskTokenId, bosTokenId]).toEqual([
      0,
      1,
      2,
      3,
      4,
      undefined,
    ]);
    expect([tokenizer.vocabSize, tokenizer.fullVocabSize, modelMaxLength]).toEqual([30, 33, 16]);
    expect(tokenizer.allSpecialIds).toEqual([1, 3, 0, 2, 4]);
    expect(tokenizer.numSpecialTokensToAdd(true)).toBe(3);
  });
});

describe("files", () => {
  it("a folder written is the folder read, byte for byte", async () => {
    const folder = await mkdtemp(join(tmpdir(), "wgrad-tokenizer-"));
    try {
      const texts = {
        tokenizerJson: ` ${JSON.stringify(fixture.tokenizer)}`,
        tokenizerConfig: `{"cls_token" : "[CLS]"}`,
        specialTokensMap: JSON.stringify(special),
      };
      const { writeFileAtomic } = await import("../files.js");
      const first = AutoTokenizer.fromFiles(texts, (dir, name, text) =>
        writeFileAtomic(join(dir, name), text),
      );
      expect(await first.savePretrained(folder)).toEqual([
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
      ]);
      expect(await readFile(join(folder, "tokenizer.json"), "utf8")).toBe(texts.tokenizerJson);
      const again = await NodeAutoTokenizer.fromPretrained(folder);
      expect(again.toFiles()).toEqual(first.toFiles());
      expect(again.padTokenId).toBe(0);
      await again.savePretrained(join(folder, "deeper"));
      expect(await readFile(join(folder, "deeper", "tokenizer_config.json"), "utf8")).toBe(
        texts.tokenizerConfig,
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("says what is wrong with them", async () => {
    expect(failure(() => AutoTokenizer.fromFiles({ tokenizerJson: "{" })).message).toMatch(
      /tokenizer\.json is not JSON/,
    );
    expect(failure(() => AutoTokenizer.fromFiles({ tokenizerJson: "{}" })).message).toMatch(/no "model"/);
    const strange = { ...fixture.tokenizer, post_processor: { type: "Strange" } };
    expect(failure(() => AutoTokenizer.fromFiles({ tokenizerJson: strange })).message).toMatch(
      /"Strange" is not known/,
    );
    await expect(tiny().savePretrained("anywhere")).rejects.toThrow(/wgrad\/models\/node/);
  });
});

describe("reports of verify", () => {
  it("says which case differs, and where", () => {
    const tokenizer = tiny();
    const cases = [
      { text: "the", input_ids: [2, 5, 3] },
      { text: "the film", input_ids: [2, 5, 7, 3] },
    ];
    const unknown = [{ texts: ["the"], args: { stride: 2 }, input_ids: [[2, 5, 3]] }];
    const [single, padding] = runTokenizerCases(tokenizer, { about: "x", single: cases, padding: unknown });
    expect(single).toMatchObject({ group: "single", passed: 1, failed: 1 });
    expect(single!.failures).toEqual([
      { index: 1, field: "input_ids", input: "the film", want: "[2,5,7,3]", got: "[2,5,6,3]" },
    ]);
    expect(padding!.failures[0]).toMatchObject({ field: "error", got: expect.stringContaining("stride") });
  });
});

const shared = process.env.WGRAD_SHARED!;
describe.each([
  ["bert", "minilm-distilbert"],
  ["clip", "clip-tokenizer"],
])("public cases: %s", (name, checkpoint) => {
  const cases = join(shared, "fixtures/tokenizer", `${name}.json`);
  const folder = join(shared, "checkpoints", checkpoint);
  describe.skipIf(!existsSync(cases) || !existsSync(folder))(`from ${shared}`, () => {
    it("are equal", async () => {
      const tokenizer = await NodeAutoTokenizer.fromPretrained(folder);
      const results = runTokenizerCases(tokenizer, JSON.parse(readFileSync(cases, "utf8")));
      expect(results.length).toBeGreaterThanOrEqual(4);
      for (const result of results) expect(result).toMatchObject({ failed: 0, failures: [] });
    });
  });
});
