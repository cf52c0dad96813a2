/** Text for a place between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  const names: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
  };
  return text.replace(/[&<>"']/g, (character) => names[character]!);
}

/** How many operations have a colour of their own; the rest share the last, a grey. */
const COLOURS = 7;

/** The colour of each operation, the same in every chart: `style="--c: …"`. Given to the longest first. */
export class OpColours {
  readonly #slots: Map<string, number>;
  /** Operations with a colour of their own, the longest first. */
  readonly named: readonly string[];

  /** @param ops the longest first */
  constructor(ops: readonly string[]) {
    this.named = ops.slice(0, COLOURS);
    this.#slots = new Map(this.named.map((op, i) => [op, i]));
  }

  /** Value of the `style` attribute that sets `--c`. */
  style(op: string): string {
    return `--c: var(--op-${this.#slots.get(op) ?? COLOURS})`;
  }

  /** What the colours mean, as a list. */
  legend(hasOthers: boolean): string {
    const key = (name: string, slot: number) =>
      `<li><i style="background: var(--op-${slot})"></i>${escapeHtml(name)}</li>`;
    const others = hasOthers ? key("other operations", COLOURS) : "";
    return `<ul class="keys">${this.named.map(key).join("")}${others}</ul>`;
  }
}
