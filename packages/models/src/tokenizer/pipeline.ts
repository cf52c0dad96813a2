/**
 * From a text to ids, without special tokens: added tokens, normalising, splitting, the model. Positions are kept all along.
 * The models are the library's; so is everything for tokenizers whose parts are not known here, then without positions.
 */
import {
  type Tokenizer as LibraryTokenizer,
  LowercaseNormalizer,
  type Normalizer,
  SequenceNormalizer,
} from "@huggingface/tokenizers";
import { TokenizerError } from "../errors.js";
import { buildSplitter, type TokenSplitter } from "./added-tokens.js";
import { type AlignedNormalizer, type AlignedText, align, buildNormalizer, lowerCase } from "./aligned.js";
import type { AddedTokenJson, TokenizerJson, TypedNode } from "./json.js";
import type { Piece } from "./post-process.js";
import { type AlignedPreTokenizer, buildPreTokenizer } from "./pre-tokenize.js";

interface Word {
  ids: readonly number[];
  tokens: readonly string[];
  /** Characters that each token covers; undefined where that cannot be told, and the token stands for the whole word. */
  lengths: readonly number[] | undefined;
}

/** The part of a tokenizer that works on one text. */
export class Pipeline {
  private readonly normalize: AlignedNormalizer | undefined;
  private readonly preTokenize: AlignedPreTokenizer | undefined;
  private readonly splitRaw: TokenSplitter;
  private readonly splitNormalized: TokenSplitter;
  private readonly words = new Map<string, Word>();

  /** @param library Made from the same `json`. Its normaliser is made to do what the reference does. */
  constructor(
    json: TokenizerJson,
    private readonly library: LibraryTokenizer,
  ) {
    const normalize = buildNormalizer(json.normalizer);
    this.normalize = normalize;
    mendNormalizer(library.normalizer, normalize);
    this.preTokenize = isTraceable(json.model, json.pre_tokenizer)
      ? buildPreTokenizer(json.pre_tokenizer)
      : undefined;
    const added = json.added_tokens ?? [];
    const isNormalized = (token: AddedTokenJson) => token.normalized ?? !token.special;
    this.splitRaw = buildSplitter(
      added.filter((t) => !isNormalized(t)).map((token) => ({ token, written: token.content })),
    );
    const written = (content: string) => normalize?.(align(content)).chars.join("") ?? content;
    this.splitNormalized = buildSplitter(
      added.filter(isNormalized).map((token) => ({ token, written: written(token.content) })),
    );
  }

  /**
   * One text to ids, without the template's special tokens.
   * @throws TokenizerError `E_TOKENIZER_OFFSETS` if offsets are needed and this kind of tokenizer gives none.
   */
  encode(text: string, needOffsets: boolean): Piece {
    const { normalize, preTokenize } = this;
    if (normalize === undefined || preTokenize === undefined) {
      if (needOffsets) {
        throw new TokenizerError(
          "E_TOKENIZER_OFFSETS",
          `offsets are given for BERT's WordPiece and byte-level BPE only, not for this tokenizer.`,
        );
      }
      const encoding =
        text === "" ? { ids: [], tokens: [] } : this.library.encode(text, { add_special_tokens: false });
      return { ids: [...encoding.ids], tokens: [...encoding.tokens], offsets: undefined };
    }
    const piece: Piece = { ids: [], tokens: [], offsets: [] };
    for (const raw of this.splitRaw(align(text))) {
      const sections = raw.token === undefined ? this.splitNormalized(normalize(raw.text)) : [raw];
      for (const section of sections) {
        if (section.token !== undefined) {
          addToken(
            piece,
            section.token.id,
            section.token.content,
            section.text,
            0,
            section.text.chars.length,
          );
          continue;
        }
        for (const word of preTokenize(section.text)) this.addWord(piece, word);
      }
    }
    return piece;
  }

  private addWord(piece: Piece, word: AlignedText): void {
    const { ids, tokens, lengths } = this.lookUp(word.chars.join(""), word.chars.length);
    let at = 0;
    for (const [i, id] of ids.entries()) {
      const length = lengths?.[i] ?? word.chars.length;
      addToken(piece, id, tokens[i]!, word, lengths === undefined ? 0 : at, length);
      at += length;
    }
  }

  /** Tokens of a word, from the library's model, remembered. */
  private lookUp(text: string, charCount: number): Word {
    const seen = this.words.get(text);
    if (seen !== undefined) return seen;
    const { model } = this.library;
    if (model === null) throw new TokenizerError("E_TOKENIZER_FILE", "tokenizer.json: it has no model.");
    const tokens = model([text]);
    const unknown = model.unk_token_id;
    const ids = tokens.map((token) => model.tokens_to_ids.get(token) ?? unknown ?? 0);
    const prefix = String(
      (model.config as { continuing_subword_prefix?: unknown }).continuing_subword_prefix ?? "",
    );
    const suffix = model.end_of_word_suffix ?? "";
    const counts = tokens.map((token, i) => {
      let body = token;
      if (i > 0 && prefix !== "" && body.startsWith(prefix)) body = body.slice(prefix.length);
      if (i === tokens.length - 1 && suffix !== "" && body.endsWith(suffix))
        body = body.slice(0, -suffix.length);
      return [...body].length;
    });
    const isWhole =
      counts.reduce((sum, count) => sum + count, 0) === charCount && !ids.includes(unknown ?? -1);
    const word = { ids, tokens, lengths: isWhole ? counts : undefined };
    if (this.words.size >= 50_000) this.words.clear();
    this.words.set(text, word);
    return word;
  }
}

function addToken(
  piece: Piece,
  id: number,
  token: string,
  text: AlignedText,
  start: number,
  length: number,
): void {
  piece.ids.push(id);
  piece.tokens.push(token);
  piece.offsets?.push([text.begin[start] ?? 0, text.end[start + length - 1] ?? 0]);
}

/** Whether a token's characters can be told from its spelling: WordPiece does, BPE where it works on bytes. */
function isTraceable(model: TypedNode, preTokenizer: TypedNode | null | undefined): boolean {
  if (model.type === "WordPiece" || model.type === undefined) return true;
  return model.type === "BPE" && JSON.stringify(preTokenizer ?? null).includes('"ByteLevel"');
}

/**
 * Where the library does the work itself, it shall normalise as the reference does too. It lower-cases whole texts, so that a
 * final Σ becomes ς; the reference looks at one character at a time.
 */
function mendNormalizer(normalizer: Normalizer | null, own: AlignedNormalizer | undefined): void {
  const replace = (value: (text: string) => string) =>
    Object.defineProperty(normalizer, "normalize", { value });
  if (own !== undefined) {
    if (normalizer !== null) replace((text) => own(align(text)).chars.join(""));
  } else if (normalizer instanceof LowercaseNormalizer) {
    replace(lowerCase);
  } else if (normalizer instanceof SequenceNormalizer) {
    for (const part of normalizer.normalizers) mendNormalizer(part, undefined);
  }
}
