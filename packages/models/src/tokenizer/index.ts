/** Tokenizers without a file system: for browsers, and what Node's door builds on. */
export { TokenizerError } from "../errors.js";
export { AutoTokenizer } from "./auto.js";
export type { TruncationStrategy } from "./post-process.js";
export {
  type BatchEncoding,
  type DecodeOptions,
  type Encoding,
  type Offset,
  type PadOptions,
  PreTrainedTokenizer,
  type TextFileWriter,
  type TokenizeOptions,
  type TokenizerCall,
  type TokenizerFiles,
} from "./tokenizer.js";
export { runTokenizerCases, type TokenizerCaseFailure, type TokenizerGroupResult } from "./verify.js";
