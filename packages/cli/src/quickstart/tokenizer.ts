import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

const SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] as const;
const LETTERS = [..."abcdefghijklmnopqrstuvwxyz0123456789"];
const SIGNS = [...".,!?;:'\"-()&/"];

/**
 * The vocabulary of a WordPiece tokenizer over whole words: special tokens (ids 0 to 4), signs, single letters and
 * digits, the same as pieces inside a word (`##a`), then the words. A word that is not listed is spelt in pieces, and
 * only characters beyond these become [UNK].
 */
export function wordPieceVocabulary(words: readonly string[]): string[] {
  const pieces = LETTERS.map((letter) => `##${letter}`);
  return [...new Set([...SPECIAL_TOKENS, ...SIGNS, ...LETTERS, ...pieces, ...words])];
}

/** The content of a `tokenizer.json` as Hugging Face's tokenizers writes it: BERT's normaliser, splitter and template. */
export function wordPieceTokenizer(vocabulary: readonly string[]): object {
  const id = (token: string): number => vocabulary.indexOf(token);
  const special = (token: string, type_id: number): object => ({ SpecialToken: { id: token, type_id } });
  const sequence = (name: string, type_id: number): object => ({ Sequence: { id: name, type_id } });
  const single = [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)];
  const inTemplate = ["[CLS]", "[SEP]"].map((token) => [
    token,
    { id: token, ids: [id(token)], tokens: [token] },
  ]);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content) => ({
      id: id(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single,
      pair: [...single, sequence("B", 1), special("[SEP]", 1)],
      special_tokens: Object.fromEntries(inTemplate),
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((token, i) => [token, i])),
    },
  };
}

/**
 * Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and `vocab.txt` for these words into a
 * folder, each beside under a temporary name first. The folder loads in transformers as a DistilBertTokenizer.
 * @param maxLength the longest input in tokens, special ones included
 * @returns the number of tokens in the vocabulary
 */
export function writeWordPieceTokenizer(folder: string, words: readonly string[], maxLength: number): number {
  const vocabulary = wordPieceVocabulary(words);
  const specialTokens = {
    cls_token: "[CLS]",
    mask_token: "[MASK]",
    pad_token: "[PAD]",
    sep_token: "[SEP]",
    unk_token: "[UNK]",
  };
  const config = {
    clean_up_tokenization_spaces: true,
    do_lower_case: true,
    model_max_length: maxLength,
    strip_accents: null,
    tokenize_chinese_chars: true,
    tokenizer_class: "DistilBertTokenizer",
    ...specialTokens,
  };
  mkdirSync(folder, { recursive: true });
  writeWhole(join(folder, "tokenizer.json"), toJSON(wordPieceTokenizer(vocabulary)));
  writeWhole(join(folder, "tokenizer_config.json"), toJSON(config));
  writeWhole(join(folder, "special_tokens_map.json"), toJSON(specialTokens));
  writeWhole(join(folder, "vocab.txt"), `${vocabulary.join("\n")}\n`);
  return vocabulary.length;
}

function toJSON(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const fd = openSync(temporary, "w");
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
}
