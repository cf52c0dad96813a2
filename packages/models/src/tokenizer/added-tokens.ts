/** Added tokens ([MASK], <|endoftext|>, ...) are found in a text before it is normalised, or after, as each one says. */
import { type AlignedText, codePointPositions, sliceAligned } from "./aligned.js";
import type { AddedTokenJson } from "./json.js";
import { isWhitespace } from "./unicode.js";

/** A piece of text: an added token, or what is left to tokenise (`token` undefined). */
export interface Section {
  text: AlignedText;
  token: AddedTokenJson | undefined;
}

/** Finds tokens in a text, longest first at each place. */
export type TokenSplitter = (text: AlignedText) => Section[];

const wordCharacter = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u;

/** @param tokens What to find. @param written How each one is written in the text; the normalised form where that counts. */
export function buildSplitter(tokens: readonly { token: AddedTokenJson; written: string }[]): TokenSplitter {
  const usable = tokens.filter(({ written }) => written !== "");
  if (usable.length === 0) return (text) => [{ text, token: undefined }];
  const byText = new Map(usable.map(({ token, written }) => [written, token]));
  const alternatives = [...byText.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(
    alternatives.map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"),
    "gu",
  );
  return (text) => {
    const whole = text.chars.join("");
    const found = [...whole.matchAll(pattern)];
    if (found.length === 0) return [{ text, token: undefined }];
    const position = codePointPositions(text.chars);
    const { chars } = text;
    const sections: Section[] = [];
    let at = 0;
    for (const match of found) {
      const token = byText.get(match[0])!;
      let start = position(match.index);
      let stop = position(match.index + match[0].length);
      if (
        token.single_word &&
        (wordCharacter.test(chars[start - 1] ?? "") || wordCharacter.test(chars[stop] ?? ""))
      )
        continue;
      while (token.lstrip && start > at && isWhitespace(chars[start - 1]!)) start--;
      while (token.rstrip && stop < chars.length && isWhitespace(chars[stop]!)) stop++;
      if (start < at) continue;
      if (start > at) sections.push({ text: sliceAligned(text, at, start), token: undefined });
      sections.push({ text: sliceAligned(text, start, stop), token });
      at = stop;
    }
    if (at < chars.length) sections.push({ text: sliceAligned(text, at, chars.length), token: undefined });
    return sections;
  };
}
