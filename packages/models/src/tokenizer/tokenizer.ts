/**
 * Texts to ids and back, over `@huggingface/tokenizers`, with the calls and results of transformers' fast tokenizers.
 *
 * From the library: the models (WordPiece, BPE, Unigram), decoding, the regular expressions of `tokenizer.json`.
 * Here: normalising and splitting with positions (the library gives no offsets, and lower-cases a final Σ to ς where the
 * reference gives σ), added tokens, special tokens, truncation, pairs, padding, saving.
 */
import {
  Tokenizer as LibraryTokenizer,
  LowercaseNormalizer,
  type Normalizer,
  SequenceNormalizer,
} from "@huggingface/tokenizers";
import { TokenizerError } from "../errors.js";
import { buildSplitter, type TokenSplitter } from "./added-tokens.js";
import { type AlignedNormalizer, type AlignedText, align, buildNormalizer, lowerCase } from "./aligned.js";
import { callable } from "./callable.js";
import type {
  AddedTokenJson,
  SpecialTokenJson,
  TokenizerConfigJson,
  TokenizerJson,
  TypedNode,
} from "./json.js";
import {
  buildTemplate,
  type Piece,
  type Template,
  type TruncationStrategy,
  truncate,
} from "./post-process.js";
import { type AlignedPreTokenizer, buildPreTokenizer } from "./pre-tokenize.js";

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

// Classes whose models take no token types (`model_input_names` in transformers).
const withoutTokenTypes =
  /^(DistilBert|CLIP|Roberta|XLMRoberta|GPT2|Bart|T5|Llama|Whisper|Qwen2|MPNet|Camembert)Tokenizer/;

interface Word {
  ids: readonly number[];
  tokens: readonly string[];
  /** Characters that each token covers; undefined where that cannot be told, and the token stands for the whole word. */
  lengths: readonly number[] | undefined;
}

/**
 * A tokenizer made from the files of a model. Made by `AutoTokenizer`.
 * @example
 * const batch = tokenizer(["a fine film", "dull"], { padding: true, truncation: true, maxLength: 128 });
 * batch.inputIds; // [[101, 1037, 2986, 2143, 102], [101, 10634, 102, 0, 0]]
 */
export class PreTrainedTokenizer extends callable<TokenizerCall>() {
  /** `tokenizer_class` of the configuration, for example `DistilBertTokenizer`. */
  readonly tokenizerClass: string | undefined;
  /** Tokens that the model can take, `Infinity` if the configuration does not say. */
  readonly modelMaxLength: number;
  /** Where padding goes. */
  readonly paddingSide: "left" | "right";
  /** Where truncation cuts. */
  readonly truncationSide: "left" | "right";
  /** Names of the arrays that the model takes, in transformers' spelling (`input_ids`, ...). */
  readonly modelInputNames: readonly string[];

  private readonly library: LibraryTokenizer;
  private readonly files: Record<string, string>;
  private readonly config: TokenizerConfigJson;
  private readonly specialTokens: Map<string, string>;
  private readonly extraSpecialTokens: string[];
  private readonly tokenIds: Map<string, number>;
  private readonly idTokens: Map<number, string>;
  private readonly specialIds: Set<number>;
  private readonly baseVocabSize: number;
  private readonly template: Template;
  private readonly normalize: AlignedNormalizer | undefined;
  private readonly preTokenize: AlignedPreTokenizer | undefined;
  private readonly splitRaw: TokenSplitter;
  private readonly splitNormalized: TokenSplitter;
  private readonly words = new Map<string, Word>();

  /** @param writeText How to write files; without it `savePretrained` says to use `toFiles`. */
  constructor(
    files: TokenizerFiles,
    private readonly writeText?: TextFileWriter,
  ) {
    super();
    const json = parse<TokenizerJson>(files.tokenizerJson, "tokenizer.json");
    this.config = parse<TokenizerConfigJson>(files.tokenizerConfig ?? {}, "tokenizer_config.json");
    const specialMap = parse<Record<string, unknown>>(
      files.specialTokensMap ?? {},
      "special_tokens_map.json",
    );
    this.files = { "tokenizer.json": asText(files.tokenizerJson) };
    if (files.tokenizerConfig !== undefined)
      this.files["tokenizer_config.json"] = asText(files.tokenizerConfig);
    if (files.specialTokensMap !== undefined)
      this.files["special_tokens_map.json"] = asText(files.specialTokensMap);

    const model: unknown = json.model;
    if (typeof model !== "object" || model === null) {
      throw new TokenizerError(
        "E_TOKENIZER_FILE",
        `tokenizer.json: no "model" in it. Is it another tool's file? Download it again.`,
      );
    }
    this.template = buildTemplate(json.post_processor);
    try {
      const nodes = {
        normalizer: null,
        pre_tokenizer: null,
        post_processor: null,
        decoder: null,
        added_tokens: [],
        ...json,
      };
      this.library = new LibraryTokenizer(nodes, this.config);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TokenizerError("E_TOKENIZER_UNSUPPORTED", `tokenizer.json: ${reason}`, { cause });
    }

    const added = json.added_tokens ?? [];
    this.tokenIds = this.library.get_vocab();
    this.idTokens = new Map([...this.tokenIds].map(([token, id]) => [id, token]));
    this.specialIds = new Set(added.filter((token) => token.special).map((token) => token.id));
    const vocab = json.model.vocab as Record<string, number> | [string, number][] | undefined;

    // The library puts added tokens into the model's vocabulary, where they would match inside words.
    const base = new Set(Array.isArray(vocab) ? vocab.map(([token]) => token) : Object.keys(vocab ?? {}));
    this.baseVocabSize = base.size;
    for (const { content } of added)
      if (!base.has(content)) this.library.model?.tokens_to_ids.delete(content);

    const normalize = buildNormalizer(json.normalizer);
    this.normalize = normalize;
    mendNormalizer(this.library.normalizer, normalize);
    this.preTokenize = isTraceable(json.model, json.pre_tokenizer)
      ? buildPreTokenizer(json.pre_tokenizer)
      : undefined;
    const isNormalized = (token: AddedTokenJson) => token.normalized ?? !token.special;
    this.splitRaw = buildSplitter(
      added.filter((t) => !isNormalized(t)).map((token) => ({ token, written: token.content })),
    );
    const normalized = (content: string) => this.normalize?.(align(content)).chars.join("") ?? content;
    this.splitNormalized = buildSplitter(
      added.filter(isNormalized).map((token) => ({ token, written: normalized(token.content) })),
    );

    this.specialTokens = new Map();
    for (const name of ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]) {
      const token = (this.config[`${name}_token`] ?? specialMap[`${name}_token`]) as
        | SpecialTokenJson
        | null
        | undefined;
      if (typeof token === "string") this.specialTokens.set(name, token);
      else if (token) this.specialTokens.set(name, token.content);
    }
    const extra = this.config.additional_special_tokens ?? specialMap.additional_special_tokens;
    this.extraSpecialTokens = Array.isArray(extra)
      ? extra.map((token: SpecialTokenJson) => (typeof token === "string" ? token : token.content))
      : [];

    const {
      model_max_length: longest,
      tokenizer_class: name,
      padding_side,
      truncation_side,
      model_input_names,
    } = this.config;
    this.modelMaxLength = typeof longest === "number" && longest < 1e20 ? longest : Number.POSITIVE_INFINITY;
    this.tokenizerClass = name;
    this.paddingSide = padding_side === "left" ? "left" : "right";
    this.truncationSide = truncation_side === "left" ? "left" : "right";
    this.modelInputNames =
      model_input_names ??
      (withoutTokenTypes.test(name ?? "")
        ? ["input_ids", "attention_mask"]
        : ["input_ids", "token_type_ids", "attention_mask"]);
  }

  /** Size of the model's vocabulary, added tokens not counted (`vocab_size` in transformers). */
  get vocabSize(): number {
    return this.baseVocabSize;
  }

  /** Number of tokens, added ones counted (`len(tokenizer)` in transformers): what an embedding needs at least. */
  get fullVocabSize(): number {
    return this.idTokens.size;
  }

  /** All tokens with their ids, added ones included. */
  getVocab(): Map<string, number> {
    return new Map(this.tokenIds);
  }

  get bosToken(): string | undefined {
    return this.specialTokens.get("bos");
  }
  get eosToken(): string | undefined {
    return this.specialTokens.get("eos");
  }
  get unkToken(): string | undefined {
    return this.specialTokens.get("unk");
  }
  get sepToken(): string | undefined {
    return this.specialTokens.get("sep");
  }
  get padToken(): string | undefined {
    return this.specialTokens.get("pad");
  }
  get clsToken(): string | undefined {
    return this.specialTokens.get("cls");
  }
  get maskToken(): string | undefined {
    return this.specialTokens.get("mask");
  }
  get bosTokenId(): number | undefined {
    return this.specialId("bos");
  }
  get eosTokenId(): number | undefined {
    return this.specialId("eos");
  }
  get unkTokenId(): number | undefined {
    return this.specialId("unk");
  }
  get sepTokenId(): number | undefined {
    return this.specialId("sep");
  }
  get padTokenId(): number | undefined {
    return this.specialId("pad");
  }
  get clsTokenId(): number | undefined {
    return this.specialId("cls");
  }
  get maskTokenId(): number | undefined {
    return this.specialId("mask");
  }

  /** Every special token once, in the order bos, eos, unk, sep, pad, cls, mask, additional. */
  get allSpecialTokens(): string[] {
    return [...new Set([...this.specialTokens.values(), ...this.extraSpecialTokens])];
  }

  /** Ids of `allSpecialTokens`. */
  get allSpecialIds(): number[] {
    return this.convertTokensToIds(this.allSpecialTokens);
  }

  private specialId(name: string): number | undefined {
    const token = this.specialTokens.get(name);
    return token === undefined ? undefined : this.tokenIds.get(token);
  }

  /** What `tokenizer(texts, options)` does: one text or a batch to ids, masks and what else is asked for. */
  override call = ((
    input: string | readonly string[],
    options: TokenizeOptions = {},
  ): Encoding | BatchEncoding => {
    const one = typeof input === "string";
    const texts = one ? [input] : input;
    const pairs = this.pairsOf(one, texts, options.textPair);
    const { maxLength, strategy } = this.truncationOf(options);
    const typed = options.returnTokenTypeIds ?? this.modelInputNames.includes("token_type_ids");
    const rows = texts.map((text, i) => this.encodeRow(text, pairs?.[i], options, maxLength, strategy));
    const batch: BatchEncoding = {
      inputIds: rows.map((row) => row.inputIds),
      attentionMask: rows.map((row) => row.attentionMask),
    };
    if (typed) batch.tokenTypeIds = rows.map((row) => row.tokenTypeIds!);
    if (options.returnOffsetsMapping) batch.offsetMapping = rows.map((row) => row.offsetMapping!);
    if (options.returnSpecialTokensMask) batch.specialTokensMask = rows.map((row) => row.specialTokensMask!);
    const padded = options.padding ? this.pad(batch, options) : batch;
    return one ? firstRow(padded) : padded;
  }) as TokenizerCall;

  /** Ids of one text or a pair, special tokens included unless told otherwise. */
  encode(text: string, options: TokenizeOptions = {}): number[] {
    return this.call(text, options).inputIds;
  }

  /** Tokens of a text. Special tokens only if `addSpecialTokens` is true. */
  tokenize(
    text: string,
    options: Pick<TokenizeOptions, "addSpecialTokens"> & { textPair?: string } = {},
  ): string[] {
    const ids = this.encode(text, { addSpecialTokens: false, ...options });
    return this.convertIdsToTokens(ids);
  }

  /**
   * Pads rows to one length: ids with `padTokenId`, masks and types with 0.
   * @param input A batch, or rows as a `DataCollator` gets them. Given rows are not changed.
   * @param options `padding` defaults to true.
   * @throws TokenizerError `E_TOKENIZER_PADDING` without a pad token.
   */
  pad(input: BatchEncoding | readonly Encoding[], options: PadOptions = {}): BatchEncoding {
    const batch = isRows(input) ? fromRows(input) : input;
    const { padding = true, padToMultipleOf } = options;
    if (padding === false || padding === "do_not_pad") return batch;
    const maxLength = options.maxLength ?? this.modelMaxLength;
    const longest = batch.inputIds.reduce((most, row) => Math.max(most, row.length), 0);
    let length = padding === "max_length" && Number.isFinite(maxLength) ? maxLength : longest;
    if (padToMultipleOf) length = Math.ceil(length / padToMultipleOf) * padToMultipleOf;
    const padId = this.padTokenId;
    if (padId === undefined) {
      throw new TokenizerError(
        "E_TOKENIZER_PADDING",
        `padding was asked for, but this tokenizer has no pad token. Name one as "pad_token" in tokenizer_config.json.`,
      );
    }
    const fill = <T>(rows: readonly T[][], value: () => T): T[][] =>
      rows.map((row) => {
        const missing = Array.from({ length: Math.max(0, length - row.length) }, value);
        return this.paddingSide === "left" ? [...missing, ...row] : [...row, ...missing];
      });
    const padded: BatchEncoding = {
      inputIds: fill(batch.inputIds, () => padId),
      attentionMask: fill(batch.attentionMask, () => 0),
    };
    if (batch.tokenTypeIds) padded.tokenTypeIds = fill(batch.tokenTypeIds, () => 0);
    if (batch.offsetMapping) padded.offsetMapping = fill<Offset>(batch.offsetMapping, () => [0, 0]);
    if (batch.specialTokensMask) padded.specialTokensMask = fill(batch.specialTokensMask, () => 1);
    return padded;
  }

  /** Ids to text. Ids outside the vocabulary are left out, as the reference does. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const known = ids.filter(
      (id) => this.idTokens.has(id) && !(options.skipSpecialTokens && this.specialIds.has(id)),
    );
    if (known.length === 0) return "";
    const text = this.library.decode(known, {
      clean_up_tokenization_spaces:
        options.cleanUpTokenizationSpaces ?? this.config.clean_up_tokenization_spaces ?? false,
    });
    return this.library.model?.end_of_word_suffix ? text.trim() : text;
  }

  /** `decode` of every row. */
  batchDecode(batch: readonly (readonly number[])[], options: DecodeOptions = {}): string[] {
    return batch.map((ids) => this.decode(ids, options));
  }

  /** Token or tokens to ids; the unknown token's id for a token that is not in the vocabulary. */
  convertTokensToIds(token: string): number;
  convertTokensToIds(tokens: readonly string[]): number[];
  convertTokensToIds(tokens: string | readonly string[]): number | number[] {
    const toId = (token: string): number => {
      const id = this.tokenIds.get(token) ?? this.unkTokenId;
      if (id !== undefined) return id;
      throw new TokenizerError(
        "E_TOKENIZER_INPUT",
        `"${token}" is not in the vocabulary, and there is no unknown token.`,
      );
    };
    return typeof tokens === "string" ? toId(tokens) : tokens.map(toId);
  }

  /** Id or ids to tokens. @throws TokenizerError `E_TOKENIZER_INPUT` for an id outside the vocabulary. */
  convertIdsToTokens(id: number, options?: Pick<DecodeOptions, "skipSpecialTokens">): string;
  convertIdsToTokens(ids: readonly number[], options?: Pick<DecodeOptions, "skipSpecialTokens">): string[];
  convertIdsToTokens(
    ids: number | readonly number[],
    options: Pick<DecodeOptions, "skipSpecialTokens"> = {},
  ): string | string[] {
    const toToken = (id: number): string => {
      const token = this.idTokens.get(id);
      if (token !== undefined) return token;
      throw new TokenizerError(
        "E_TOKENIZER_INPUT",
        `id ${id} is not in the vocabulary of ${this.fullVocabSize} tokens.`,
      );
    };
    if (typeof ids === "number") return toToken(ids);
    return ids.filter((id) => !(options.skipSpecialTokens && this.specialIds.has(id))).map(toToken);
  }

  /** How many special tokens a text or a pair gets. */
  numSpecialTokensToAdd(pair = false): number {
    return this.template[pair ? "pair" : "single"].filter((item) => "id" in item).length;
  }

  /** The files by name, as they came: what `savePretrained` writes, for places without a file system. */
  toFiles(): Record<string, string> {
    return { ...this.files };
  }

  /**
   * Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json as they came, each first under another name.
   * @returns The names of the files.
   * @throws TokenizerError `E_TOKENIZER_SAVE` where there is no file system.
   */
  async savePretrained(folder: string): Promise<string[]> {
    if (this.writeText === undefined) {
      throw new TokenizerError(
        "E_TOKENIZER_SAVE",
        "this tokenizer was made without a file system. Take AutoTokenizer from @wgrad/models/node, or use toFiles().",
      );
    }
    for (const [name, text] of Object.entries(this.files)) await this.writeText(folder, name, text);
    return Object.keys(this.files);
  }

  private pairsOf(
    one: boolean,
    texts: readonly string[],
    textPair: string | readonly string[] | undefined,
  ): readonly string[] | undefined {
    const pairs = typeof textPair === "string" ? [textPair] : textPair;
    if (pairs !== undefined && (pairs.length !== texts.length || (typeof textPair === "string") !== one)) {
      throw new TokenizerError(
        "E_TOKENIZER_INPUT",
        `${one ? "one text" : `${texts.length} texts`} but ${typeof textPair === "string" ? "one textPair" : `${pairs.length} textPair`}: there must be as many of each, both as lists or both as strings.`,
      );
    }
    for (const [name, list] of Object.entries({ text: texts, textPair: pairs ?? [] })) {
      for (const [i, text] of list.entries()) {
        if (typeof text !== "string") {
          const found = text === null ? "null" : typeof text;
          throw new TokenizerError(
            "E_TOKENIZER_INPUT",
            `${name} ${i} is ${found}, not a string. Drop or fill empty rows first.`,
          );
        }
      }
    }
    return pairs;
  }

  private truncationOf(options: TokenizeOptions): {
    maxLength: number;
    strategy: TruncationStrategy | undefined;
  } {
    const { truncation, padding, padToMultipleOf, maxLength: given } = options;
    if (given !== undefined && (!Number.isInteger(given) || given < 0)) {
      throw new TokenizerError(
        "E_TOKENIZER_INPUT",
        `maxLength is ${given}, it must be a whole number of tokens.`,
      );
    }
    const maxLength = given ?? this.modelMaxLength;
    let strategy: TruncationStrategy | undefined;
    if (truncation === true) strategy = "longest_first";
    else if (typeof truncation === "string" && truncation !== "do_not_truncate") strategy = truncation;
    else if (truncation === undefined && given !== undefined && !padding) strategy = "longest_first";
    if (
      strategy &&
      padding &&
      padToMultipleOf &&
      Number.isFinite(maxLength) &&
      maxLength % padToMultipleOf !== 0
    ) {
      throw new TokenizerError(
        "E_TOKENIZER_PADDING",
        `truncation to ${maxLength} tokens and padding to a multiple of ${padToMultipleOf} contradict each other. Make maxLength a multiple of it.`,
      );
    }
    return { maxLength, strategy: Number.isFinite(maxLength) ? strategy : undefined };
  }

  private encodeRow(
    text: string,
    pair: string | undefined,
    options: TokenizeOptions,
    maxLength: number,
    strategy: TruncationStrategy | undefined,
  ): Encoding {
    const withSpecial = options.addSpecialTokens ?? true;
    const needOffsets = options.returnOffsetsMapping === true;
    let a = this.encodeText(text, needOffsets);
    let b = pair === undefined ? undefined : this.encodeText(pair, needOffsets);
    if (strategy !== undefined) {
      const special = withSpecial ? this.numSpecialTokensToAdd(b !== undefined) : 0;
      if (maxLength < special) {
        throw new TokenizerError(
          "E_TOKENIZER_TRUNCATION",
          `maxLength ${maxLength} leaves no room for the ${special} special tokens. Use at least ${special}.`,
        );
      }
      [a, b] = truncate(a, b, maxLength - special, strategy, this.truncationSide);
    }
    const inputIds: number[] = [];
    const tokenTypeIds: number[] = [];
    const offsetMapping: Offset[] = [];
    const specialTokensMask: number[] = [];
    for (const item of this.template[b === undefined ? "single" : "pair"]) {
      if ("id" in item) {
        if (!withSpecial) continue;
        inputIds.push(item.id);
        tokenTypeIds.push(item.type);
        offsetMapping.push([0, 0]);
        specialTokensMask.push(1);
        continue;
      }
      const piece = item.sequence === "A" ? a : b!;
      const original = item.sequence === "A" ? text : pair!;
      const offsets =
        needOffsets && options.offsetUnit === "utf16" ? inUtf16(piece.offsets!, original) : piece.offsets;
      for (const [i, id] of piece.ids.entries()) {
        inputIds.push(id);
        tokenTypeIds.push(item.type);
        specialTokensMask.push(0);
        if (offsets) offsetMapping.push(offsets[i]!);
      }
    }
    return { inputIds, attentionMask: inputIds.map(() => 1), tokenTypeIds, offsetMapping, specialTokensMask };
  }

  /** One text to ids, without special tokens of the template. */
  private encodeText(text: string, needOffsets: boolean): Piece {
    const { normalize, preTokenize } = this;
    if (normalize === undefined || preTokenize === undefined) {
      if (needOffsets) {
        throw new TokenizerError(
          "E_TOKENIZER_OFFSETS",
          `offsets are given for BERT's WordPiece and byte-level BPE only, not for this tokenizer (${this.tokenizerClass ?? "of unknown class"}).`,
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

function parse<T>(file: string | object, name: string): T {
  if (typeof file !== "string") return file as T;
  try {
    const value: unknown = JSON.parse(file);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TokenizerError(
      "E_TOKENIZER_FILE",
      `${name} is not JSON (${reason}). Download or save it again.`,
      { cause },
    );
  }
  throw new TokenizerError("E_TOKENIZER_FILE", `${name} is not a JSON object. Download or save it again.`);
}

function asText(file: string | object): string {
  return typeof file === "string" ? file : `${JSON.stringify(file, null, 2)}\n`;
}

function inUtf16(offsets: readonly Offset[], text: string): Offset[] {
  const units = [0];
  for (const char of text) units.push(units.at(-1)! + char.length);
  return offsets.map(([begin, end]) => [units[begin]!, units[end]!]);
}

function isRows(input: BatchEncoding | readonly Encoding[]): input is readonly Encoding[] {
  return Array.isArray(input);
}

function fromRows(rows: readonly Encoding[]): BatchEncoding {
  const batch: BatchEncoding = {
    inputIds: rows.map((row) => row.inputIds),
    attentionMask: rows.map((row) => row.attentionMask ?? row.inputIds.map(() => 1)),
  };
  if (rows[0]?.tokenTypeIds)
    batch.tokenTypeIds = rows.map((row) => row.tokenTypeIds ?? row.inputIds.map(() => 0));
  if (rows[0]?.offsetMapping) batch.offsetMapping = rows.map((row) => row.offsetMapping ?? []);
  if (rows[0]?.specialTokensMask) batch.specialTokensMask = rows.map((row) => row.specialTokensMask ?? []);
  return batch;
}

function firstRow(batch: BatchEncoding): Encoding {
  const row: Encoding = { inputIds: batch.inputIds[0]!, attentionMask: batch.attentionMask[0]! };
  if (batch.tokenTypeIds) row.tokenTypeIds = batch.tokenTypeIds[0]!;
  if (batch.offsetMapping) row.offsetMapping = batch.offsetMapping[0]!;
  if (batch.specialTokensMask) row.specialTokensMask = batch.specialTokensMask[0]!;
  return row;
}
