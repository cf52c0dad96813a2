/** Text that remembers where each of its characters stood in the original, through every step of normalisation. */
import { ReplaceNormalizer } from "@huggingface/tokenizers";
import type { TypedNode } from "./json.js";
import { isChinese, isControl, isNonSpacingMark, isUnknownToReference, isWhitespace } from "./unicode.js";

/** Code points, each with the range of code points of the original text that it came from. Three arrays of one length. */
export interface AlignedText {
  chars: string[];
  begin: number[];
  end: number[];
}

/** A step of normalisation. It does not change its argument, but may return it. */
export type AlignedNormalizer = (text: AlignedText) => AlignedText;

/** An original text, or a piece of it. @param first Code points before it. */
export function align(text: string, first = 0): AlignedText {
  const chars = [...text];
  return { chars, begin: chars.map((_, i) => first + i), end: chars.map((_, i) => first + i + 1) };
}

/** The characters from `start` to before `stop`. */
export function sliceAligned(text: AlignedText, start: number, stop: number): AlignedText {
  return {
    chars: text.chars.slice(start, stop),
    begin: text.begin.slice(start, stop),
    end: text.end.slice(start, stop),
  };
}

/**
 * Turns positions in UTF-16 units of `chars.join("")`, as regular expressions give them, into positions in `chars`.
 * Only positions between characters are asked for.
 */
export function codePointPositions(chars: readonly string[]): (unit: number) => number {
  if (chars.every((char) => char.length === 1)) return (unit) => unit;
  const positions = new Map<number, number>();
  let unit = 0;
  for (const [i, char] of chars.entries()) {
    positions.set(unit, i);
    unit += char.length;
  }
  positions.set(unit, chars.length);
  return (at) => positions.get(at) ?? 0;
}

const cacheLimit = 20_000;

/** A step that looks at one character at a time: what it gives stands where the character stood. */
function perCharacter(map: (char: string) => string): AlignedNormalizer {
  const cache = new Map<string, readonly string[]>();
  return ({ chars, begin, end }) => {
    const out: AlignedText = { chars: [], begin: [], end: [] };
    for (let i = 0; i < chars.length; i++) {
      const char = chars[i]!;
      let mapped = cache.get(char);
      if (mapped === undefined) {
        if (cache.size >= cacheLimit) cache.clear();
        mapped = [...map(char)];
        cache.set(char, mapped);
      }
      for (const c of mapped) {
        out.chars.push(c);
        out.begin.push(begin[i]!);
        out.end.push(end[i]!);
      }
    }
    return out;
  };
}

/** Lower case character by character, as Rust does it: a capital sigma gives σ wherever it stands. */
export function lowerCase(text: string): string {
  let out = "";
  for (const char of text) out += char.toLowerCase();
  return out;
}

/**
 * BERT's normaliser for one character. Every step of it is free of context, so one cached map does them all:
 * clean (drop controls, any white space to a blank), blanks round Han characters, accents off, lower case.
 */
function bertCharacter(options: {
  clean: boolean;
  han: boolean;
  strip: boolean;
  lower: boolean;
}): (char: string) => string {
  return (char) => {
    const cp = char.codePointAt(0)!;
    let text = char;
    if (options.clean) {
      if (cp === 0 || cp === 0xfffd || isControl(char)) return "";
      if (isWhitespace(char)) return " ";
    }
    if (options.han && isChinese(cp)) text = ` ${char} `;
    if (options.strip && !isUnknownToReference(cp)) {
      text = [...text.normalize("NFD")].filter((c) => !isNonSpacingMark(c)).join("");
    }
    return options.lower ? lowerCase(text) : text;
  };
}

// A character that may join with the one before it under Unicode composition: marks, and Hangul and Kirat Rai vowels.
const joining = "\\p{M}\\u1161-\\u1175\\u11A8-\\u11C2\\u{16D63}\\u{16D67}";
const segments = new RegExp(`[^${joining}][${joining}]*|[${joining}]+`, "gu");

/** Unicode normalisation. A composed character stands where its base stood, as in the reference. */
function unicodeForm(form: "NFC" | "NFD" | "NFKC" | "NFKD"): AlignedNormalizer {
  return (text) => {
    const whole = text.chars.join("");
    if (whole === whole.normalize(form)) return text;
    const out: AlignedText = { chars: [], begin: [], end: [] };
    let at = 0;
    for (const [segment] of whole.matchAll(segments)) {
      const before = [...segment];
      const after = [...segment.normalize(form)];
      const removed = Math.max(0, before.length - after.length);
      for (const [i, char] of after.entries()) {
        const source = at + Math.min(i === 0 ? 0 : i + removed, before.length - 1);
        out.chars.push(char);
        out.begin.push(text.begin[source]!);
        out.end.push(text.end[source]!);
      }
      at += before.length;
    }
    return out;
  };
}

/** Every match becomes `content`, which stands for all of the match. */
function replacing(pattern: RegExp, content: string): AlignedNormalizer {
  const inserted = [...content];
  return (text) => {
    const whole = text.chars.join("");
    const position = codePointPositions(text.chars);
    const out: AlignedText = { chars: [], begin: [], end: [] };
    let at = 0;
    const copyTo = (stop: number) => {
      for (; at < stop; at++) {
        out.chars.push(text.chars[at]!);
        out.begin.push(text.begin[at]!);
        out.end.push(text.end[at]!);
      }
    };
    for (const match of whole.matchAll(pattern)) {
      const start = position(match.index);
      const stop = position(match.index + match[0].length);
      copyTo(start);
      for (const char of inserted) {
        out.chars.push(char);
        out.begin.push(text.begin[start] ?? text.end.at(-1) ?? 0);
        out.end.push(text.end[Math.max(start, stop - 1)] ?? text.end.at(-1) ?? 0);
      }
      at = stop;
    }
    copyTo(text.chars.length);
    return out;
  };
}

/**
 * The normaliser that `tokenizer.json` describes, in a form that keeps positions.
 * @returns `undefined` for a kind that is not known here; the library's own then serves, without offsets.
 */
export function buildNormalizer(node: TypedNode | null | undefined): AlignedNormalizer | undefined {
  if (node === null || node === undefined) return (text) => text;
  switch (node.type) {
    case "BertNormalizer": {
      const lower = node.lowercase === true;
      const strip = typeof node.strip_accents === "boolean" ? node.strip_accents : lower;
      return perCharacter(
        bertCharacter({
          clean: node.clean_text === true,
          han: node.handle_chinese_chars === true,
          strip,
          lower,
        }),
      );
    }
    case "Sequence": {
      const parts = Array.isArray(node.normalizers)
        ? node.normalizers.map((part: TypedNode) => buildNormalizer(part))
        : [];
      const known = parts.filter((part) => part !== undefined);
      return known.length === parts.length ? (text) => known.reduce((t, part) => part(t), text) : undefined;
    }
    case "Lowercase":
      return perCharacter(lowerCase);
    case "StripAccents":
      return perCharacter((char) => (/^\p{M}$/u.test(char) ? "" : char));
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return unicodeForm(node.type);
    case "Replace": {
      const { pattern } = new ReplaceNormalizer({
        type: "Replace",
        pattern: node.pattern as { String?: string; Regex?: string },
        content: String(node.content ?? ""),
      });
      return pattern === null ? undefined : replacing(pattern, String(node.content ?? ""));
    }
    default:
      return undefined;
  }
}
