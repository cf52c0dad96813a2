/** Splitting normalised text into words, positions kept. */
import { ByteLevelPreTokenizer, SplitPreTokenizer } from "@huggingface/tokenizers";
import { type AlignedText, codePointPositions, sliceAligned } from "./aligned.js";
import type { TypedNode } from "./json.js";
import { isBertPunctuation, isWhitespace } from "./unicode.js";

/** A splitter. Pieces come in order; what lies between them is dropped. */
export type AlignedPreTokenizer = (text: AlignedText) => AlignedText[];

type Kind = "letter" | "space" | "punctuation";

const kinds = new Map<string, Kind>();

function kindOf(char: string): Kind {
  let kind = kinds.get(char);
  if (kind === undefined) {
    kind = isWhitespace(char) ? "space" : isBertPunctuation(char) ? "punctuation" : "letter";
    if (kinds.size > 20_000) kinds.clear();
    kinds.set(char, kind);
  }
  return kind;
}

/** BERT: words end at white space; every punctuation mark is a word of its own. */
function bertWords(text: AlignedText): AlignedText[] {
  const words: AlignedText[] = [];
  let start = -1;
  for (let i = 0; i <= text.chars.length; i++) {
    const kind = i < text.chars.length ? kindOf(text.chars[i]!) : "space";
    if (kind === "letter") {
      if (start < 0) start = i;
      continue;
    }
    if (start >= 0) words.push(sliceAligned(text, start, i));
    start = -1;
    if (kind === "punctuation") words.push(sliceAligned(text, i, i + 1));
  }
  return words;
}

/** Pieces that match, and those between them if `rest` is wanted. */
function matches(text: AlignedText, pattern: RegExp, keep: { match: boolean; rest: boolean }): AlignedText[] {
  const whole = text.chars.join("");
  const position = codePointPositions(text.chars);
  const pieces: AlignedText[] = [];
  let at = 0;
  const add = (start: number, stop: number) => {
    if (stop > start) pieces.push(sliceAligned(text, start, stop));
  };
  for (const match of whole.matchAll(pattern)) {
    const start = position(match.index);
    const stop = position(match.index + match[0].length);
    if (keep.rest) add(at, start);
    if (keep.match) add(start, stop);
    at = stop;
  }
  if (keep.rest) add(at, text.chars.length);
  return pieces;
}

/** A regular expression, `Removed` and `Isolated` only: what CLIP and GPT-2 kin use. */
function splitting(node: TypedNode): AlignedPreTokenizer | undefined {
  const { pattern } = new SplitPreTokenizer({
    type: "Split",
    pattern: node.pattern as { String?: string; Regex?: string },
    behavior: node.behavior as "Removed",
    invert: node.invert === true,
  });
  if (pattern === null) return undefined;
  const invert = node.invert === true;
  if (node.behavior === "Removed") return (text) => matches(text, pattern, { match: invert, rest: !invert });
  if (node.behavior === "Isolated") return (text) => matches(text, pattern, { match: true, rest: true });
  return undefined;
}

/** Words as bytes, each byte written as a printable character; every byte stands where its character stood. */
function byteLevel(node: TypedNode): AlignedPreTokenizer | undefined {
  if (node.add_prefix_space === true) return undefined;
  const useRegex = node.use_regex !== false;
  const { pattern, byte_encoder: letters } = new ByteLevelPreTokenizer({ type: "ByteLevel" });
  const encoder = new TextEncoder();
  const toBytes = (word: AlignedText): AlignedText => {
    const out: AlignedText = { chars: [], begin: [], end: [] };
    for (let i = 0; i < word.chars.length; i++) {
      for (const byte of encoder.encode(word.chars[i]!)) {
        out.chars.push(letters[byte]!);
        out.begin.push(word.begin[i]!);
        out.end.push(word.end[i]!);
      }
    }
    return out;
  };
  return (text) => (useRegex ? matches(text, pattern, { match: true, rest: false }) : [text]).map(toBytes);
}

/**
 * The splitter that `tokenizer.json` describes, in a form that keeps positions.
 * @returns `undefined` for a kind that is not known here; the library's own then serves, without offsets.
 */
export function buildPreTokenizer(node: TypedNode | null | undefined): AlignedPreTokenizer | undefined {
  if (node === null || node === undefined) return (text) => [text];
  switch (node.type) {
    case "BertPreTokenizer":
      return bertWords;
    case "Split":
      return splitting(node);
    case "ByteLevel":
      return byteLevel(node);
    case "Sequence": {
      const parts = Array.isArray(node.pretokenizers)
        ? node.pretokenizers.map((part: TypedNode) => buildPreTokenizer(part))
        : [];
      const known = parts.filter((part) => part !== undefined);
      return known.length === parts.length
        ? (text) => known.reduce((pieces, part) => pieces.flatMap(part), [text])
        : undefined;
    }
    default:
      return undefined;
  }
}
