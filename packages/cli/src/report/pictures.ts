/** Pictures with captions as a part of a page. */
import { type Html, html } from "./html.js";

/** What is said of a picture. */
export interface PictureCaption {
  /** Captions below it; the first is bold and has the mark, as in `tabby 83 %`, `true: tabby`. */
  lines: readonly string[];
  /** Whether what was said is right; left out where nobody knows. */
  right?: boolean;
}

/** A picture that a page can hold, with what is said of it. */
export interface EmbeddedPicture extends PictureCaption {
  /** `data:image/…;base64,…` */
  src: string;
  /** Whether its pixels are to be seen as squares. */
  tiny: boolean;
}

/** How many pictures stand beside each other where there is room: as many as asked for, else 4 to 8. */
export function columnsOf(count: number, columns?: number): number {
  const wanted = columns ?? Math.min(8, Math.max(4, Math.ceil(Math.sqrt(count))));
  return Math.max(1, Math.min(Math.floor(wanted), count));
}

/** What a frame says. */
export function verdictOf({ right }: PictureCaption): "right" | "wrong" | "open" {
  return right === undefined ? "open" : right ? "right" : "wrong";
}

/** Pictures with their captions, for a page made of `page.html`. */
export function picturesHtml(pictures: readonly EmbeddedPicture[], columns?: number): Html {
  if (pictures.length === 0) return html`<p class="note">There are no pictures.</p>`;
  const count = columnsOf(pictures.length, columns);
  return html`<ul class="pictures" style="--columns: ${count}">${pictures.map((picture, i) => {
    const verdict = verdictOf(picture);
    const [first, ...rest] = picture.lines;
    return html`<li class="${verdict}"><img src="${picture.src}" alt="picture ${i + 1}" class="${picture.tiny ? "tiny" : ""}">
${first !== undefined && html`<p class="first" dir="auto">${verdict !== "open" && html`<span class="unseen">${verdict}: </span>`}${first}</p>`}${rest.map((line) => html`<p dir="auto">${line}</p>`)}</li>\n`;
  })}</ul>`;
}
