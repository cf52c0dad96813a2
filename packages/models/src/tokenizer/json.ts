/** The parts of `tokenizer.json` and `tokenizer_config.json` that are read here. Everything else passes through untouched. */

/** A node of `tokenizer.json` that says by `type` what it is. */
export interface TypedNode {
  type: string;
  [key: string]: unknown;
}

/** A token outside the model's vocabulary, found in a text before anything else happens to it. */
export interface AddedTokenJson {
  id: number;
  content: string;
  single_word?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
  normalized?: boolean;
  special?: boolean;
}

/** `tokenizer.json`. */
export interface TokenizerJson {
  added_tokens?: AddedTokenJson[];
  normalizer?: TypedNode | null;
  pre_tokenizer?: TypedNode | null;
  post_processor?: TypedNode | null;
  decoder?: TypedNode | null;
  model: TypedNode;
  [key: string]: unknown;
}

/** A special token in `tokenizer_config.json` or `special_tokens_map.json`. */
export type SpecialTokenJson = string | { content: string; [key: string]: unknown };

/** `tokenizer_config.json`. */
export interface TokenizerConfigJson {
  tokenizer_class?: string;
  model_max_length?: number;
  model_input_names?: string[];
  padding_side?: string;
  truncation_side?: string;
  clean_up_tokenization_spaces?: boolean;
  [key: string]: unknown;
}
