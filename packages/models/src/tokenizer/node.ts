/** Tokenizers in folders. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { TokenizerError } from "../errors.js";
import { readTextIfThere, writeFileAtomic } from "../files.js";
import { type ResolveOptions, resolveModel } from "../hub/resolve.js";
import { AutoTokenizer as AnywhereAutoTokenizer } from "./auto.js";
import { PreTrainedTokenizer } from "./tokenizer.js";

const writeText = (folder: string, name: string, text: string): Promise<void> =>
  writeFileAtomic(join(folder, name), text);

/** Opens the tokenizer of a model. */
export const AutoTokenizer = {
  ...AnywhereAutoTokenizer,

  /**
   * @param nameOrFolder A folder with tokenizer.json, or a hub id such as `distilbert-base-uncased`.
   * @throws HubError if there is no such folder or model; TokenizerError if its files cannot be used.
   */
  async fromPretrained(nameOrFolder: string, options: ResolveOptions = {}): Promise<PreTrainedTokenizer> {
    const folder = await resolveModel(nameOrFolder, { ...options, needs: "tokenizer" });
    const read = (name: string) => readTextIfThere(join(folder, name));
    const [tokenizerJson, tokenizerConfig, specialTokensMap] = await Promise.all([
      read("tokenizer.json"),
      read("tokenizer_config.json"),
      read("special_tokens_map.json"),
    ]);
    if (tokenizerJson === undefined) {
      const found = (await readdir(folder)).filter((name) => /vocab|merges|spiece|token/.test(name));
      throw new TokenizerError(
        "E_TOKENIZER_FILE",
        `${folder}: no tokenizer.json${found.length > 0 ? `, only ${found.join(", ")}` : ""}. Write it in Python: AutoTokenizer.from_pretrained(folder).save_pretrained(folder).`,
      );
    }
    return new PreTrainedTokenizer({ tokenizerJson, tokenizerConfig, specialTokensMap }, writeText);
  },
};
