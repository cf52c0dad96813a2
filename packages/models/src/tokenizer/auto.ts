import { PreTrainedTokenizer } from "./tokenizer.js";
import type { TextFileWriter, TokenizerFiles } from "./types.js";

/** Makes tokenizers from their files, anywhere. In Node, `AutoTokenizer` of `@wgrad/models/node` also opens folders. */
export const AutoTokenizer = {
  /**
   * @param files Text or parsed JSON of tokenizer.json, tokenizer_config.json and special_tokens_map.json.
   * @param writeText How `savePretrained` shall write, where there is a file system.
   * @throws TokenizerError for files that are no tokenizer's, or of a kind that is not known.
   */
  fromFiles(files: TokenizerFiles, writeText?: TextFileWriter): PreTrainedTokenizer {
    return new PreTrainedTokenizer(files, writeText);
  },
};
