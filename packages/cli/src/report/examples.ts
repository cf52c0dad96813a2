import { formatCount } from "../ui.js";
import { percent } from "./confusion.js";
import type { ExampleReport, SplitReport } from "./data.js";
import { type Html, html, subheading } from "./html.js";

/** Characters of a text that are shown at once. */
const SHOWN = 700;
/** Texts are cut where they would be this much longer. */
const SLACK = 100;

/** The examples with the largest and the smallest losses of a split. */
export function examplesOf({ worst, best }: SplitReport, level: 2 | 3): Html {
  return html`${group(level, "Worst: the largest losses", "Mistakes made with confidence often come from a wrong label, or from what the model has not learnt, such as irony.", worst)}
${group(level, "Best: the smallest losses", "What the model is surest of, and right.", best)}`;
}

function group(level: 2 | 3, heading: string, hint: string, examples: readonly ExampleReport[]): Html {
  if (examples.length === 0) return html``;
  return html`${subheading(level, heading)}<p class="hint">${hint}</p><ol class="examples">${examples.map(item)}</ol>`;
}

function item(example: ExampleReport): Html {
  const { label, prediction, isRight, confidence, loss, row } = example;
  const verdict = isRight
    ? html`<span class="verdict right">right</span>`
    : html`<span class="verdict wrong">wrong</span>`;
  return html`<li><p class="facts">${verdict}
<span>true <b>${label}</b></span><span>predicted <b>${prediction}</b>${confidence !== null && html` at ${sureness(confidence)}`}</span><span>loss <b>${loss.toFixed(4)}</b></span><span>row ${row}</span></p>
${textOf(example.text)}</li>`;
}

function textOf(text: string): Html {
  if (text.trim() === "") return html`<p class="text empty">(no text)</p>`;
  if (text.length <= SHOWN + SLACK) return html`<p class="text" dir="auto">${text}</p>`;
  return html`<p class="text" dir="auto">${text.slice(0, SHOWN)}…</p><details><summary>The whole text, ${formatCount(text.length)} characters</summary><p class="text" dir="auto">${text}</p></details>`;
}

/** A probability; one that only rounds to 1 is not shown as that. */
function sureness(probability: number): string {
  return probability < 1 && probability >= 0.9995 ? "over 99.9 %" : percent(probability);
}
