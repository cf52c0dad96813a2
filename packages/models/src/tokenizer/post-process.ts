/** Special tokens round one sequence or two, token type ids, truncation: on ids, before anything is padded. */
import { TokenizerError } from "../errors.js";
import type { TypedNode } from "./json.js";

/** A place in the finished sequence: a special token, or all of sequence A or B. */
export type TemplateItem = { id: number; type: number } | { sequence: "A" | "B"; type: number };

/** How one text and a pair of texts are put together. */
export interface Template {
  single: TemplateItem[];
  pair: TemplateItem[];
}

const A = (type: number): TemplateItem => ({ sequence: "A", type });
const B = (type: number): TemplateItem => ({ sequence: "B", type });

interface TemplatePart {
  SpecialToken?: { id: string; type_id?: number };
  Sequence?: { id: string; type_id?: number };
}

/** The template that `tokenizer.json` describes. @throws TokenizerError `E_TOKENIZER_UNSUPPORTED` for an unknown kind. */
export function buildTemplate(node: TypedNode | null | undefined): Template {
  if (node === null || node === undefined || node.type === "ByteLevel")
    return { single: [A(0)], pair: [A(0), B(1)] };
  switch (node.type) {
    case "TemplateProcessing": {
      const special = node.special_tokens as Record<string, { ids: number[] }> | undefined;
      const items = (parts: unknown): TemplateItem[] =>
        (parts as TemplatePart[]).flatMap((part): TemplateItem[] => {
          if (part.Sequence)
            return [{ sequence: part.Sequence.id === "B" ? "B" : "A", type: part.Sequence.type_id ?? 0 }];
          const ids = special?.[part.SpecialToken?.id ?? ""]?.ids;
          if (ids === undefined) {
            throw new TokenizerError(
              "E_TOKENIZER_FILE",
              `tokenizer.json: the template uses ${JSON.stringify(part)}, which special_tokens does not list. Download it again.`,
            );
          }
          return ids.map((id) => ({ id, type: part.SpecialToken?.type_id ?? 0 }));
        });
      return { single: items(node.single), pair: items(node.pair) };
    }
    case "BertProcessing":
    case "RobertaProcessing": {
      const cls = { id: (node.cls as [string, number])[1], type: 0 };
      const sep = { id: (node.sep as [string, number])[1], type: 0 };
      const single = [cls, A(0), sep];
      return node.type === "BertProcessing"
        ? { single, pair: [...single, B(1), { ...sep, type: 1 }] }
        : { single, pair: [...single, sep, B(0), sep] };
    }
    case "Sequence": {
      const parts = ((node.processors as TypedNode[] | undefined) ?? []).filter(
        ({ type }) => type !== "ByteLevel",
      );
      if (parts.length <= 1) return buildTemplate(parts[0]);
    }
  }
  throw new TokenizerError(
    "E_TOKENIZER_UNSUPPORTED",
    `tokenizer.json: post_processor "${node.type}" is not known here; known are TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel.`,
  );
}

/** Ids of one text, before special tokens. Arrays of one length. */
export interface Piece {
  ids: number[];
  tokens: string[];
  /** Code points of the original text, `[begin, end)`. Undefined where the tokenizer's kind gives none. */
  offsets: [number, number][] | undefined;
}

/** What to cut when a sequence is too long. */
export type TruncationStrategy = "longest_first" | "only_first" | "only_second";

function cut(piece: Piece, length: number, side: "left" | "right"): Piece {
  if (piece.ids.length <= length) return piece;
  const [start, stop] = side === "left" ? [piece.ids.length - length, piece.ids.length] : [0, length];
  return {
    ids: piece.ids.slice(start, stop),
    tokens: piece.tokens.slice(start, stop),
    offsets: piece.offsets?.slice(start, stop),
  };
}

/**
 * Shortens one text or a pair to `maxLength` ids, as `truncate_encodings` of the Rust tokenizers does.
 * @param maxLength Without the special tokens still to come.
 */
export function truncate(
  a: Piece,
  b: Piece | undefined,
  maxLength: number,
  strategy: TruncationStrategy,
  side: "left" | "right",
): [Piece, Piece | undefined] {
  const total = a.ids.length + (b?.ids.length ?? 0);
  const excess = total - maxLength;
  if (excess <= 0) return [a, b];
  if (strategy === "longest_first") {
    if (b === undefined) return [cut(a, maxLength, side), b];
    let shorter = Math.min(a.ids.length, b.ids.length);
    let longer = shorter > maxLength ? shorter : Math.max(shorter, maxLength - shorter);
    if (shorter + longer > maxLength) {
      shorter = Math.floor(maxLength / 2);
      longer = shorter + (maxLength % 2);
    }
    const [toA, toB] = a.ids.length > b.ids.length ? [longer, shorter] : [shorter, longer];
    return [cut(a, toA, side), cut(b, toB, side)];
  }
  const target = strategy === "only_first" ? a : b;
  if (target === undefined) {
    throw new TokenizerError(
      "E_TOKENIZER_TRUNCATION",
      `truncation "only_second" needs a second text. Pass textPair, or use "longest_first".`,
    );
  }
  if (target.ids.length <= excess) {
    throw new TokenizerError(
      "E_TOKENIZER_TRUNCATION",
      `truncation "${strategy}": ${total} tokens must lose ${excess}, but that text has only ${target.ids.length}. Use "longest_first" or a larger maxLength.`,
    );
  }
  const shorter = cut(target, target.ids.length - excess, side);
  return strategy === "only_first" ? [shorter, b] : [a, shorter];
}
