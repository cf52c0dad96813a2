import { ratesOf } from "../aggregate.js";
import type { FlameNode } from "../flame.js";
import { formatCount, formatShare, formatTime, scaled } from "../numbers.js";
import type { Peaks } from "../profile.js";
import { escapeHtml, type OpColours } from "./html.js";

/** Pixels from one row to the next. */
const ROW = 26;

/**
 * The tree as cells below each other, each as wide as its share of the step. Places are in percent, which the page's script
 * changes to zoom.
 */
export function flameChart(root: FlameNode, colours: OpColours, peaks: Peaks | null): string {
  const cells: string[] = [];
  let deepest = 0;
  const add = (node: FlameNode, left: number, depth: number) => {
    deepest = Math.max(deepest, depth);
    const width = node.seconds / root.seconds;
    const colour = node.op === "" ? "" : `; ${colours.style(node.op)}`;
    cells.push(
      `<div class="cell" data-kind="${node.kind}" data-name="${escapeHtml(node.name)}" data-depth="${depth}" ` +
        `data-left="${left}" data-width="${width}" data-tip="${escapeHtml(describe(node, root, peaks))}" ` +
        `style="top: ${depth * ROW}px; left: ${left * 100}%; width: ${width * 100}%${colour}">` +
        `<span>${escapeHtml(node.name)} <small>${formatTime(node.seconds)}</small></span></div>`,
    );
    let next = left;
    for (const child of node.children) {
      if (child.seconds > 0) add(child, next, depth + 1);
      next += child.seconds / root.seconds;
    }
  };
  add(root, 0, 0);
  return (
    `<div class="bar"><span class="trail"></span><button class="reset" type="button" hidden>Whole step</button></div>` +
    `<div class="flame" style="height: ${(deepest + 1) * ROW}px">${cells.join("")}</div>`
  );
}

function describe(node: FlameNode, root: FlameNode, peaks: Peaks | null): string {
  const rates = ratesOf(node, peaks);
  const lines = [
    node.name,
    `${formatTime(node.seconds)}, ${formatShare(node.seconds / root.seconds)} of the step, ${formatCount(node.dispatches)} dispatches`,
  ];
  if (rates.flops !== null)
    lines.push(`${scaled(node.flop, "FLOP")}: ${scaled(rates.flops, "FLOP/s")}${of(rates.ofArithmetic)}`);
  if (rates.bytesPerSecond !== null)
    lines.push(`${scaled(node.bytes, "B")}: ${scaled(rates.bytesPerSecond, "B/s")}${of(rates.ofCopy)}`);
  return lines.join("\n");
}

function of(share: number | null): string {
  return share === null ? "" : `, ${formatShare(share)} of the peak`;
}
