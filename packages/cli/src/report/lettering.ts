/**
 * Text as outlines, for pictures that must look the same on machines with other fonts or none. The letters are DejaVu Sans's,
 * from an npm package; lines with others (Chinese, emoji) are left to the fonts of the machine.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import opentype, { type Font } from "opentype.js";
import { escapeText } from "./escape.js";

/** How a text looks. */
export interface TextStyle {
  /** Pixels of the font. */
  size: number;
  bold?: boolean;
}

const fonts = new Map<number, Font>();

function fontOf({ bold = false }: TextStyle): Font {
  const weight = bold ? 700 : 400;
  let font = fonts.get(weight);
  if (!font) {
    const { resolve } = createRequire(import.meta.url);
    const file = readFileSync(
      resolve(`@fontsource/dejavu-sans/files/dejavu-sans-latin-${weight}-normal.woff`),
    );
    font = opentype.parse(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
    fonts.set(weight, font);
  }
  return font;
}

/** Pixels that a line of text is wide; letters that the font lacks count as an em. */
export function widthOf(text: string, style: TextStyle): number {
  const font = fontOf(style);
  let units = 0;
  for (const character of text)
    units += hasGlyph(font, character) ? font.charToGlyph(character).advanceWidth! : font.unitsPerEm;
  return (units * style.size) / font.unitsPerEm;
}

function hasGlyph(font: Font, character: string): boolean {
  return font.charToGlyphIndex(character) > 0;
}

/**
 * A line of text as SVG, in the current fill.
 * @param x where it begins
 * @param y its base line
 */
export function svgOf(text: string, x: number, y: number, style: TextStyle): string {
  const font = fontOf(style);
  if (![...text].every((character) => hasGlyph(font, character))) {
    const weight = style.bold ? ' font-weight="700"' : "";
    return `<text x="${x}" y="${y}" font-family="sans-serif" font-size="${style.size}"${weight}>${escapeText(text)}</text>`;
  }
  let at = x;
  let outline = "";
  for (const character of text) {
    const glyph = font.charToGlyph(character);
    outline += glyph.getPath(at, y, style.size).toPathData(2);
    at += (glyph.advanceWidth! * style.size) / font.unitsPerEm;
  }
  return outline === "" ? "" : `<path d="${outline}"/>`;
}

/**
 * Breaks a text into lines at its spaces (not at U+00A0), and inside of words that are too long. What does not fit ends in an ellipsis.
 * @param width pixels of a line
 * @param most lines
 */
export function wrap(text: string, style: TextStyle, width: number, most: number): string[] {
  const words = text
    .replace(/\p{Cc}/gu, " ")
    .split(/\s+/)
    .filter(Boolean);
  const lines: string[] = [];
  let line = "";
  while (words.length > 0) {
    const word = words.shift()!;
    const longer = line === "" ? word : `${line} ${word}`;
    if (widthOf(longer, style) <= width) line = longer;
    else if (line !== "") {
      lines.push(line);
      line = "";
      words.unshift(word);
    } else {
      const fitting = longestFitting([...word], style, width, "");
      lines.push(fitting.join(""));
      words.unshift([...word].slice(fitting.length).join(""));
    }
  }
  if (line !== "") lines.push(line);
  if (lines.length <= most) return lines;
  const last = [...lines.slice(most - 1).join(" ")];
  return [...lines.slice(0, most - 1), `${longestFitting(last, style, width, "…").join("").trimEnd()}…`];
}

/** The longest beginning of a text that fits with an end; at least one character. */
function longestFitting(characters: string[], style: TextStyle, width: number, end: string): string[] {
  let count = characters.length;
  while (count > 1 && widthOf(characters.slice(0, count).join("") + end, style) > width) count--;
  return characters.slice(0, count);
}
