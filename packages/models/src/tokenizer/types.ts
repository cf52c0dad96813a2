/** What goes into a tokenizer and what comes out. Names are those of transformers. */
import type { TruncationStrategy } from "./post-process.js";

/** The files of a tokenizer: their text, or what it parses to. Text is saved again exactly as it came. */
export interface TokenizerFiles {
  /** `tokenizer.json`. */
  tokenizerJson: string | object;
  /** `tokenizer_config.json`. */
  tokenizerConfig?: string | object | undefined;
  /** `special_tokens_map.json`. */
  specialTokensMap?: string | object | undefined;
}

/** How `savePretrained` writes a text file. */
export type TextFileWriter = (folder: string, name: string, text: string) => Promise<void>;

/** Options of a call, named as in transformers. */
export interface TokenizeOptions {
  /** The second text of each pair: one for each text. */
  textPair?: string | readonly string[] | undefined;
  /** `true` or `"longest"`: to the longest of the batch. `"max_length"`: to `maxLength`. Default: no padding. */
  padding?: boolean | "longest" | "max_length" | "do_not_pad";
  /** `true` is `"longest_first"`. Default: none, or `"longest_first"` if `maxLength` is given without padding. */
  truncation?: boolean | TruncationStrategy | "do_not_truncate";
  /** Tokens, special ones included. Default: `modelMaxLength`. */
  maxLength?: number | undefined;
  /** Round lengths up to a multiple of this. */
  padToMultipleOf?: number | undefined;
  /** [CLS] and [SEP] and their like. Default true. */
  addSpecialTokens?: boolean;
  /** Give `tokenTypeIds`. Default: as the model's class has it (BERT yes, DistilBERT and CLIP no). */
  returnTokenTypeIds?: boolean | undefined;
  /** Give `offsetMapping`. Default false. */
  returnOffsetsMapping?: boolean;
  /** Give `specialTokensMask`. Default false. */
  returnSpecialTokensMask?: boolean;
  /** What offsets count. `"codepoint"` as Python does; `"utf16"` for `String.prototype.slice`. Default `"codepoint"`. */
  offsetUnit?: "codepoint" | "utf16";
}

/** `[begin, end)` of a token in the original text; `[0, 0]` for special tokens and padding. */
export type Offset = [begin: number, end: number];

/** A sequence as the model takes it. All arrays have one length. */
export interface Encoding {
  inputIds: number[];
  /** 1 for a token, 0 for padding. */
  attentionMask: number[];
  /** 0 for the first text, 1 for the second. */
  tokenTypeIds?: number[];
  offsetMapping?: Offset[];
  /** 1 for special tokens and padding. */
  specialTokensMask?: number[];
}

/** A batch: row i belongs to text i. Rows have one length only if padding was asked for. */
export interface BatchEncoding {
  inputIds: number[][];
  attentionMask: number[][];
  tokenTypeIds?: number[][];
  offsetMapping?: Offset[][];
  specialTokensMask?: number[][];
}

/** Options of `pad`. */
export type PadOptions = Pick<TokenizeOptions, "padding" | "maxLength" | "padToMultipleOf">;

/** Options of `decode`. */
export interface DecodeOptions {
  /** Leave out [CLS], [PAD] and their like. Default false. */
  skipSpecialTokens?: boolean;
  /** Join punctuation to the word before it. Default: `clean_up_tokenization_spaces` of the configuration, else false. */
  cleanUpTokenizationSpaces?: boolean | undefined;
}

/** Call of a tokenizer: one text gives an `Encoding`, a list of texts a `BatchEncoding`. */
export interface TokenizerCall {
  (text: string, options?: TokenizeOptions): Encoding;
  (texts: readonly string[], options?: TokenizeOptions): BatchEncoding;
}
