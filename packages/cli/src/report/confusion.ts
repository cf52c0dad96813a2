import { confusedPairs } from "../text/confused-pairs.js";
import { formatCount } from "../ui.js";
import type { SplitReport } from "./data.js";
import { Html, html, subheading, tableOf } from "./html.js";

/** More classes than that do not fit a page: the matrix becomes a picture, and its largest mistakes a table. */
export const MOST_CLASSES = 20;
const MOST_PAIRS = 25;

/** The confusion matrix of a split as a heat map with numbers; of many classes as a picture and a table. */
export function confusionOf({ confusion, labels }: SplitReport, level: 2 | 3): Html {
  if (!confusion) return html``;
  return labels.length <= MOST_CLASSES
    ? matrix(confusion, labels)
    : html`${picture(confusion)}${pairsTable(confusion, labels, level)}`;
}

function matrix(confusion: readonly (readonly number[])[], labels: readonly string[]): Html {
  const cell = (row: readonly number[], count: number, isDiagonal: boolean) => {
    const total = row.reduce((a, b) => a + b, 0);
    const share = total === 0 ? 0 : count / total;
    const name = [share > 0.71 ? "deep" : "", isDiagonal ? "hit" : ""].filter(Boolean).join(" ");
    return html`<td class="${name}" style="--share: ${Math.round(share * 100)}%"><b>${formatCount(count)}</b><small>${percent(share)}</small></td>`;
  };
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Confusion matrix"><table class="matrix"><caption class="unseen">Confusion matrix: a row for each true class, a column for each predicted one</caption>
<thead><tr><td></td><th class="over-all" scope="colgroup" colspan="${labels.length}">predicted</th></tr>
<tr><th scope="col">true</th>${labels.map((label) => html`<th scope="col">${label}</th>`)}</tr></thead>
<tbody>${confusion.map(
    (row, truth) =>
      html`<tr><th scope="row">${labels[truth]}</th>${row.map((count, predicted) => cell(row, count, truth === predicted))}</tr>\n`,
  )}</tbody></table></div>
<p class="note">Shares are of the examples of a true class; the frame marks what is right.</p>`;
}

/** How dark a cell is: shares of the true class, from the smallest that is drawn. */
const SHADES = [0.01, 0.05, 0.15, 0.35, 0.65] as const;

/** One square a pair of classes, those of a shade in one path, so that 200 classes stay a small file. */
function picture(confusion: readonly (readonly number[])[]): Html {
  const size = confusion.length;
  const paths = SHADES.map(() => "");
  confusion.forEach((row, y) => {
    const total = row.reduce((a, b) => a + b, 0);
    row.forEach((count, x) => {
      const shade = total === 0 ? -1 : SHADES.findLastIndex((least) => count / total >= least);
      if (shade >= 0) paths[shade] += `M${x},${y}h1v1h-1z`;
    });
  });
  const drawn = paths.map(
    (path, i) => new Html(`<path class="accent" fill-opacity="${(i + 1) / SHADES.length}" d="${path}"/>`),
  );
  const legend = SHADES.map((least, i) =>
    `${i === 0 ? "lightest" : i === SHADES.length - 1 ? "darkest" : ""} from ${percent(least)}`.trim(),
  );
  return html`<figure class="map"><svg viewBox="-0.5 -0.5 ${size + 1} ${size + 1}" role="img" aria-label="Confusion matrix of ${size} classes as a picture: rows are true classes, columns predicted ones">
<rect class="edge" x="-0.25" y="-0.25" width="${size + 0.5}" height="${size + 0.5}" fill="none" stroke-width="${size / 300}"/>${drawn}</svg>
<figcaption>Rows are the true classes, columns the predicted ones, in the order of the table by class; the diagonal is what is right. Shade: share of the true class, ${legend.join(", ")}.</figcaption></figure>`;
}

function pairsTable(
  confusion: readonly (readonly number[])[],
  labels: readonly string[],
  level: 2 | 3,
): Html {
  const pairs = confusedPairs(confusion);
  if (pairs.length === 0) return html`<p class="note">No class is taken for another.</p>`;
  const shown = pairs.slice(0, MOST_PAIRS);
  const rest = pairs.length - shown.length;
  return html`${subheading(level, "Classes that are taken for each other most")}${tableOf(
    "Classes that are taken for each other most",
    [
      { heading: "true", isWords: true },
      { heading: "predicted", isWords: true },
      { heading: "examples" },
      { heading: "of the true class" },
    ],
    shown.map(({ truth, predicted, count, share }) => [
      labels[truth],
      labels[predicted],
      formatCount(count),
      percent(share),
    ]),
  )}${rest > 0 && html`<p class="note">${formatCount(rest)} more pairs have ${shown.at(-1)!.count} examples or fewer.</p>`}`;
}

/** `84.2 %` */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
