import { escapeText } from "./escape.js";

/** Text that is HTML already. */
export class Html {
  readonly text: string;

  /** @param text HTML, not text of anybody else */
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | null | undefined | false | Html | readonly Part[];

/** HTML from a template: every value is escaped unless it is {@link Html}; null, undefined and false are nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  return new Html(strings.reduce((text, next, i) => text + textOf(values[i - 1]) + next));
}

function textOf(part: Part): string {
  if (part === null || part === undefined || part === false) return "";
  if (part instanceof Html) return part.text;
  if (Array.isArray(part)) return part.map(textOf).join("");
  return escapeText(String(part));
}

/** A column of {@link tableOf}. */
export interface TableColumn {
  heading: Part;
  /** Words stand to the left, figures to the right. */
  isWords?: boolean;
}

/**
 * A table that scrolls in its own box where it is too wide.
 * @param rows cells; the first of each row names it
 * @param isTall whether it also scrolls upwards, on a screen
 */
export function tableOf(
  caption: string,
  columns: readonly TableColumn[],
  rows: readonly (readonly Part[])[],
  isTall = false,
): Html {
  const kind = (i: number) => (columns[i]?.isWords ? "words" : "figure");
  return html`<div class="scroll ${isTall ? "tall" : ""}" tabindex="0" role="region" aria-label="${caption}"><table><caption class="unseen">${caption}</caption>
<thead><tr>${columns.map(({ heading }, i) => html`<th scope="col" class="${kind(i)}">${heading}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((cell, i) =>
        i === 0
          ? html`<th scope="row" class="${kind(i)}">${cell}</th>`
          : html`<td class="${kind(i)}">${cell}</td>`,
      )}</tr>\n`,
  )}</tbody></table></div>`;
}

/** A box of the page with a heading. @param level of the heading */
export function section(id: string, heading: string, hint: Part, content: Part, level: 2 | 3 = 2): Html {
  const title = new Html(`<h${level}>${escapeText(heading)}</h${level}>`);
  return html`<section id="${id}">${title}${hint ? html`<p class="hint">${hint}</p>` : ""}${content}</section>\n`;
}

/** A heading inside a section. @param level that of the section's own heading */
export function subheading(level: 2 | 3, text: string): Html {
  return new Html(`<h${level + 1} class="part">${escapeText(text)}</h${level + 1}>`);
}

/** Charts beside each other where there is room. */
export function charts(svgs: readonly string[]): Html {
  return html`<div class="charts">${svgs.map((svg) => html`<figure>${new Html(svg)}</figure>`)}</div>`;
}
