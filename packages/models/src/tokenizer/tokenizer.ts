/**
 * Texts to ids and back, over `@huggingface/tokenizers`, with the calls and results of transformers' fast tokenizers.
 *
 * From the library: the models (WordPiece, BPE, Unigram), decoding, the regular expressions of `tokenizer.json`.
 * Here: normalising and splitting with positions (the library gives no offsets, and lower-cases a final Σ to ς where the
 * reference gives σ), added tokens, special tokens, truncation, pairs, padding, saving.
 */
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { TokenizerError } from "../errors.js";
import { callable } from "./callable.js";
import type { SpecialTokenJson, TokenizerConfigJson, TokenizerJson } from "./json.js";
import { firstRow, padBatch } from "./padding.js";
import { Pipeline } from "./pipeline.js";
import { buildTemplate, type Template, type TruncationStrategy, truncate } from "./post-process.js";
import type {
  BatchEncoding,
  DecodeOptions,
  Encoding,
  Offset,
  PadOptions,
  TextFileWriter,
  TokenizeOptions,
  TokenizerCall,
  TokenizerFiles,
} from "./types.js";

// Classes whose models take no token types (`model_input_names` in transformers).
const withoutTokenTypes =
  /^(DistilBert|CLIP|Roberta|XLMRoberta|GPT2|Bart|T5|Llama|Whisper|Qwen2|MPNet|Camembert)Tokenizer/;

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
  private readonly pipeline: Pipeline;

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

    this.pipeline = new Pipeline(json, this.library);

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
    return padBatch(input, options, this);
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
    let a = this.pipeline.encode(text, needOffsets);
    let b = pair === undefined ? undefined : this.pipeline.encode(pair, needOffsets);
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
