/**
 * Text for a place between tags or in a quoted attribute, of HTML and SVG. Control characters become their pictures and halves
 * of surrogate pairs become U+FFFD, since neither may stand in a document.
 */
export function escapeText(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/\p{Cs}/gu, "\uFFFD")
    .replace(/\p{Cc}/gu, picture)
    .replace(/[&<>"']/g, (character) => NAMES[character]!);
}

const NAMES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** What is shown of a control character; tab and line feed are white space. */
function picture(character: string): string {
  const code = character.charCodeAt(0);
  if (character === "\t" || character === "\n") return character;
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : "\uFFFD";
}
