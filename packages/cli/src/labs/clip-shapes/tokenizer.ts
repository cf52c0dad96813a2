/** A tokenizer of CLIP's kind, made from the captions: byte-level BPE whose merges make each of their words one token. */
import { join } from "node:path";
import { writeFileAtomic, writeJsonFile } from "@wgrad/models/node";

const START = "<|startoftext|>";
const END = "<|endoftext|>";
/** What marks the last token of a word. */
const WORD_END = "</w>";
/** Where CLIP cuts a text into words; what lies between is left out. */
const WORDS =
  "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";

/** Two tokens that become one. */
export type Merge = readonly [left: string, right: string];

/**
 * The characters that stand for the 256 bytes, in the order of their ids: printable ones for themselves, the others for the
 * characters from 256 on, as in GPT-2.
 */
export function byteCharacters(): string[] {
  const printable = (code: number) =>
    (code >= 33 && code <= 126) || (code >= 161 && code <= 172) || (code >= 174 && code <= 255);
  const bytes = Array.from({ length: 256 }, (_, code) => code);
  const [shown, hidden] = [bytes.filter(printable), bytes.filter((code) => !printable(code))];
  return [
    ...shown.map((code) => String.fromCodePoint(code)),
    ...hidden.map((_, i) => String.fromCodePoint(256 + i)),
  ];
}

/**
 * Learns byte-pair merges: the pair that stands together most often becomes one token, until every word is one. Of equally frequent
 * pairs the first in alphabetical order is taken, so that the same texts give the same merges.
 * @param texts lower case, words of ASCII letters between blanks
 */
export function learnMerges(texts: readonly string[]): Merge[] {
  const counts = new Map<string, number>();
  for (const word of texts.join(" ").match(/[a-z]+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  const words = [...counts].map(([word, count]) => {
    const letters = [...word];
    return { count, tokens: [...letters.slice(0, -1), `${letters.at(-1)}${WORD_END}`] };
  });
  const merges: Merge[] = [];
  for (;;) {
    const pairs = new Map<string, number>();
    for (const { count, tokens } of words) {
      for (let i = 1; i < tokens.length; i++) {
        const pair = `${tokens[i - 1]} ${tokens[i]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    }
    const [best] = [...pairs].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    if (!best) return merges;
    const [left, right] = best[0].split(" ") as [string, string];
    merges.push([left, right]);
    for (const word of words) word.tokens = merged(word.tokens, left, right);
  }
}

function merged(tokens: readonly string[], left: string, right: string): string[] {
  const out: string[] = [];
  for (const token of tokens) {
    if (token === right && out.at(-1) === left) out[out.length - 1] = left + right;
    else out.push(token);
  }
  return out;
}

/** Tokens by id, in CLIP's order: bytes, bytes that end a word, merges, start and end of a text. */
export function clipVocabulary(merges: readonly Merge[]): string[] {
  const bytes = byteCharacters();
  const ending = bytes.map((character) => `${character}${WORD_END}`);
  return [...bytes, ...ending, ...merges.map(([left, right]) => left + right), START, END];
}

/** The content of a `tokenizer.json` as Hugging Face's CLIPTokenizer has it. */
export function clipTokenizer(vocabulary: readonly string[], merges: readonly Merge[]): object {
  const id = (token: string): number => vocabulary.indexOf(token);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [START, END].map((content) => ({
      id: id(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: WORDS }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: [END, id(END)],
      cls: [START, id(START)],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: END,
      continuing_subword_prefix: "",
      end_of_word_suffix: WORD_END,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, i) => [token, i])),
      merges,
    },
  };
}

/** Ids that a model's config names. */
export interface ClipVocabulary {
  vocabSize: number;
  bosTokenId: number;
  eosTokenId: number;
}

/**
 * Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`, `vocab.json` and `merges.txt` for the words of some
 * texts into a folder that is there. It loads in transformers as a CLIPTokenizer.
 * @param texts lower case, words of ASCII letters between blanks
 * @param maxLength the longest input in tokens, special ones included
 */
export async function writeClipTokenizer(
  folder: string,
  texts: readonly string[],
  maxLength: number,
): Promise<ClipVocabulary> {
  const merges = learnMerges(texts);
  const vocabulary = clipVocabulary(merges);
  const specialTokens = { bos_token: START, eos_token: END, pad_token: END, unk_token: END };
  const config = {
    add_prefix_space: false,
    clean_up_tokenization_spaces: false,
    do_lower_case: true,
    errors: "replace",
    model_max_length: maxLength,
    tokenizer_class: "CLIPTokenizer",
    ...specialTokens,
  };
  await writeJsonFile(join(folder, "tokenizer.json"), clipTokenizer(vocabulary, merges));
  await writeJsonFile(join(folder, "tokenizer_config.json"), config);
  await writeJsonFile(join(folder, "special_tokens_map.json"), specialTokens);
  await writeJsonFile(
    join(folder, "vocab.json"),
    Object.fromEntries(vocabulary.map((token, i) => [token, i])),
  );
  const lines = merges.map((pair) => `${pair.join(" ")}\n`).join("");
  await writeFileAtomic(join(folder, "merges.txt"), `#version: 0.2\n${lines}`);
  const vocabSize = vocabulary.length;
  return { vocabSize, bosTokenId: vocabSize - 2, eosTokenId: vocabSize - 1 };
}
