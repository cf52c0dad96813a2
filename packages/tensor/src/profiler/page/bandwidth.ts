import { type KernelRow, ratesOf, type Totals, zero } from "../aggregate.js";
import { formatShare, formatTime, scaled } from "../numbers.js";
import type { Peaks } from "../profile.js";
import { escapeHtml, type OpColours } from "./html.js";

/** Bars that are drawn at most. */
const SHOWN = 10;

/**
 * What the roofline cannot show: kernels that do not say how much they compute, by the bytes they move a second. The mark is
 * the speed of a copy.
 */
export function bandwidthBars(rows: readonly KernelRow[], peaks: Peaks | null, colours: OpColours): string {
  const byName = new Map<string, Totals & { op: string }>();
  for (const row of rows) {
    if (row.flop > 0 || row.seconds === 0) continue;
    const sum = byName.get(row.kernel) ?? { op: row.op, ...zero() };
    byName.set(row.kernel, sum);
    sum.seconds += row.seconds;
    sum.bytes += row.bytes;
    sum.dispatches += row.dispatches;
  }
  const longest = [...byName].sort(([, a], [, b]) => b.seconds - a.seconds).slice(0, SHOWN);
  if (longest.length === 0) return "";
  const speeds = longest.map(([, sum]) => sum.bytes / sum.seconds);
  const scale = Math.max(...speeds, peaks?.bytesPerSecond ?? 0);
  const width = (value: number) => `${((100 * value) / scale).toFixed(2)}%`;
  const mark = peaks ? `<b style="left: ${width(peaks.bytesPerSecond)}"></b>` : "";
  const bars = longest.map(([name, sum]) => {
    const { bytesPerSecond, ofCopy } = ratesOf(sum, peaks);
    const speed = bytesPerSecond ?? 0;
    const share = ofCopy === null ? "" : `<small>${formatShare(ofCopy)} of a copy</small>`;
    const tip = `${name}\n${formatTime(sum.seconds)} in all, ${scaled(sum.bytes, "B")}`;
    return (
      `<li style="${colours.style(sum.op)}" data-tip="${escapeHtml(tip)}"><code>${escapeHtml(name)}</code>` +
      `<span class="track"><i style="width: ${width(speed)}"></i>${mark}</span><span>${scaled(speed, "B/s")} ${share}</span></li>`
    );
  });
  const copy = peaks ? `; the line is a copy, ${scaled(peaks.bytesPerSecond, "B/s")}` : "";
  return `<h3>The others by the bytes they move a second${copy}</h3><ul class="speeds">${bars.join("")}</ul>`;
}
