/** Tokenizers without a file system: for browsers, and what Node's door builds on. */
export { TokenizerError } from "../errors.js";
export { AutoTokenizer } from "./auto.js";
export type { TruncationStrategy } from "./post-process.js";
export { PreTrainedTokenizer } from "./tokenizer.js";
export type {
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
export { runTokenizerCases, type TokenizerCaseFailure, type TokenizerGroupResult } from "./verify.js";
