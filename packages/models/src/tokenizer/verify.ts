/** Runs reference cases against a tokenizer. Pure: no files, no printing. Format: `fixtures/tokenizer` in its README. */
import type { PreTrainedTokenizer } from "./tokenizer.js";
import type { BatchEncoding, TokenizeOptions } from "./types.js";

/** What differed in one case. */
export interface TokenizerCaseFailure {
  /** Place of the case in its group, from 0. */
  index: number;
  /** What was compared: `input_ids`, `tokens`, ..., or `error`. */
  field: string;
  /** The case's input, shortened. */
  input: string;
  /** JSON of both sides, shortened round the first difference. */
  want: string;
  got: string;
}

/** A group of cases. */
export interface TokenizerGroupResult {
  /** `single`, `long`, `padding`, `pairs_with_token_type_ids` or `decode`. */
  group: string;
  passed: number;
  failed: number;
  failures: TokenizerCaseFailure[];
}

interface Case {
  text?: string;
  texts?: string[];
  pairs?: string[];
  args?: Record<string, unknown>;
  input_ids: number[] | number[][];
  attention_mask?: number[][];
  token_type_ids?: number[][];
  tokens?: string[];
}

const optionNames: Record<string, keyof TokenizeOptions> = {
  padding: "padding",
  truncation: "truncation",
  max_length: "maxLength",
  pad_to_multiple_of: "padToMultipleOf",
  add_special_tokens: "addSpecialTokens",
  return_token_type_ids: "returnTokenTypeIds",
};

function optionsOf(args: Record<string, unknown> = {}): TokenizeOptions {
  const entries = Object.entries(args).map(([key, value]) => {
    const name = optionNames[key];
    if (name === undefined) throw new Error(`argument "${key}" of the case is not known here`);
    return [name, value];
  });
  return Object.fromEntries(entries) as TokenizeOptions;
}

function around(text: string, at: number): string {
  const start = Math.max(0, at - 40);
  return (start > 0 ? "…" : "") + text.slice(start, at + 40) + (at + 40 < text.length ? "…" : "");
}

type Compare = (field: string, want: unknown, got: unknown) => void;

const groups: Record<string, (tokenizer: PreTrainedTokenizer, one: Case, compare: Compare) => void> = {
  single(tokenizer, one, compare) {
    const ids = tokenizer.encode(one.text ?? "");
    compare("input_ids", one.input_ids, ids);
    if (one.tokens) compare("tokens", one.tokens, tokenizer.convertIdsToTokens(ids));
  },
  long: batch,
  padding: batch,
  pairs_with_token_type_ids: batch,
  decode(tokenizer, one, compare) {
    const options = { skipSpecialTokens: true, cleanUpTokenizationSpaces: false };
    compare("text", one.text, tokenizer.decode(one.input_ids as number[], options));
  },
};

function batch(tokenizer: PreTrainedTokenizer, one: Case, compare: Compare): void {
  const options = optionsOf(one.args);
  if (one.pairs) options.textPair = one.pairs;
  if (one.token_type_ids) options.returnTokenTypeIds = true;
  const got: BatchEncoding = tokenizer(one.texts ?? [], options);
  compare("input_ids", one.input_ids, got.inputIds);
  if (one.attention_mask) compare("attention_mask", one.attention_mask, got.attentionMask);
  if (one.token_type_ids) compare("token_type_ids", one.token_type_ids, got.tokenTypeIds);
}

/**
 * Compares a tokenizer with reference results, exactly.
 * @param fixture Parsed `bert.json` or `clip.json`. Keys that are no group of cases are passed over.
 * @returns One entry for each group found, in the file's order. A case that throws counts as failed.
 */
export function runTokenizerCases(
  tokenizer: PreTrainedTokenizer,
  fixture: Readonly<Record<string, unknown>>,
): TokenizerGroupResult[] {
  const results: TokenizerGroupResult[] = [];
  for (const [group, cases] of Object.entries(fixture)) {
    const run = Object.hasOwn(groups, group) ? groups[group] : undefined;
    if (run === undefined || !Array.isArray(cases)) continue;
    const result: TokenizerGroupResult = { group, passed: 0, failed: 0, failures: [] };
    for (const [index, one] of (cases as Case[]).entries()) {
      const input = around(one.text ?? one.texts?.join(" | ") ?? JSON.stringify(one.input_ids), 40);
      const before = result.failures.length;
      const fail = (field: string, want: string, got: string, at: number) =>
        result.failures.push({ index, field, input, want: around(want, at), got: around(got, at) });
      try {
        run(tokenizer, one, (field, want, got) => {
          const [left, right] = [JSON.stringify(want), JSON.stringify(got) ?? "undefined"];
          if (left === right) return;
          let at = 0;
          while (left[at] === right[at]) at++;
          fail(field, left, right, at);
        });
      } catch (error) {
        fail("error", "a result", error instanceof Error ? error.message : String(error), 0);
      }
      if (result.failures.length > before) result.failed++;
      else result.passed++;
    }
    results.push(result);
  }
  return results;
}
