import { type KernelRow, ratesOf } from "../aggregate.js";
import { digits, formatShare, formatTime, scaled } from "../numbers.js";
import type { Peaks } from "../profile.js";
import { escapeHtml, type OpColours } from "./html.js";

const WIDTH = 1180;
const HEIGHT = 500;
const FRAME = { left: 64, right: 24, top: 20, bottom: 52 };
/** Kernels whose names stand beside their longest point. */
const NAMED = 9;
/** Smaller shares of the step have no point. */
const LEAST_SHARE = 2e-4;

/** A range of a logarithmic axis in whole decades. */
interface Axis {
  readonly low: number;
  readonly high: number;
  /** Place of a value. */
  at(value: number): number;
}

interface Point {
  readonly row: KernelRow;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/**
 * Kernels by arithmetic intensity (FLOP a byte) and speed (FLOP/s), both logarithmic, under the adapter's two roofs: what a
 * copy can feed, and what arithmetic can do. A point's area is its share of the step. Kernels that do not say how much they
 * compute, and those that take next to no time, are not on it. Williams, Waterman and Patterson, 2009.
 */
export function roofline(
  rows: readonly KernelRow[],
  step: { seconds: number },
  peaks: Peaks | null,
  colours: OpColours,
): string {
  const shown = rows.filter(
    (row) => row.flop > 0 && row.bytes > 0 && row.seconds > LEAST_SHARE * step.seconds,
  );
  if (shown.length === 0) return "";
  const intensities = shown.map((row) => row.flop / row.bytes);
  const speeds = shown.map((row) => row.flop / row.seconds);
  if (peaks) {
    intensities.push(peaks.flops / peaks.bytesPerSecond);
    speeds.push(peaks.flops);
  }
  const x = axis(intensities, FRAME.left, WIDTH - FRAME.right);
  const y = axis(speeds, HEIGHT - FRAME.bottom, FRAME.top);
  const points = shown.map((row) => ({
    row,
    x: x.at(row.flop / row.bytes),
    y: y.at(row.flop / row.seconds),
    radius: 4 + 20 * Math.sqrt(row.seconds / step.seconds),
  }));
  // The small ones last, so that none is hidden.
  points.sort((a, b) => b.radius - a.radius);
  const dots = points.map(
    ({ row, x, y, radius }) =>
      `<circle class="dot" cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}" style="${colours.style(row.op)}" ` +
      `data-tip="${escapeHtml(describe(row, step.seconds, peaks))}"/>`,
  );
  return (
    `<div class="chart"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline: ${shown.length} kernels by FLOP a byte and FLOP/s">` +
    `${grid(x, y)}${peaks ? roofs(x, y, peaks) : ""}${dots.join("")}${names(points)}</svg></div>`
  );
}

function axis(values: readonly number[], from: number, to: number): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)) - 0.15);
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) + 0.15));
  return { low, high, at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from) };
}

function grid(x: Axis, y: Axis): string {
  const [right, bottom] = [WIDTH - FRAME.right, HEIGHT - FRAME.bottom];
  const parts: string[] = [];
  for (let decade = x.low; decade <= x.high; decade++) {
    const at = x.at(10 ** decade).toFixed(1);
    parts.push(`<line class="grid" x1="${at}" x2="${at}" y1="${FRAME.top}" y2="${bottom}"/>`);
    parts.push(`<text x="${at}" y="${bottom + 20}" text-anchor="middle">${decadeText(decade)}</text>`);
  }
  for (let decade = y.low; decade <= y.high; decade++) {
    const at = y.at(10 ** decade);
    parts.push(
      `<line class="grid" x1="${FRAME.left}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/>`,
    );
    parts.push(
      `<text x="${FRAME.left - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${decadeText(decade - 9)}</text>`,
    );
  }
  const middle = (FRAME.left + right) / 2;
  parts.push(
    `<text x="${middle}" y="${HEIGHT - 8}" text-anchor="middle">arithmetic intensity, FLOP a byte</text>`,
  );
  parts.push(
    `<text transform="translate(14 ${(FRAME.top + bottom) / 2}) rotate(-90)" text-anchor="middle">speed, GFLOP/s</text>`,
  );
  return parts.join("");
}

function decadeText(decade: number): string {
  return decade >= 4
    ? `10${superscript(decade)}`
    : decade >= -3
      ? String(Number((10 ** decade).toFixed(3)))
      : `10${superscript(decade)}`;
}

function superscript(value: number): string {
  return [...String(value)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]!)).join("");
}

function roofs(x: Axis, y: Axis, peaks: Peaks): string {
  const ridge = peaks.flops / peaks.bytesPerSecond;
  // The slope enters the frame at its left edge or at its lower one.
  const start = Math.max(10 ** x.low, 10 ** y.low / peaks.bytesPerSecond);
  const [x0, y0] = [x.at(start), y.at(start * peaks.bytesPerSecond)];
  const [xr, yr] = [x.at(ridge), y.at(peaks.flops)];
  const right = WIDTH - FRAME.right;
  const bottom = HEIGHT - FRAME.bottom;
  const line = `M${x0.toFixed(1)} ${y0.toFixed(1)}L${xr.toFixed(1)} ${yr.toFixed(1)}L${right} ${yr.toFixed(1)}`;
  const turn = (Math.atan2(yr - y0, xr - x0) * 180) / Math.PI;
  // Along the slope, above it, where few points are.
  const [xm, ym] = [x0 + (xr - x0) * 0.76, y0 + (yr - y0) * 0.76];
  return (
    `<path class="under" d="${line}L${right} ${bottom}L${x0.toFixed(1)} ${bottom}Z"/><path class="roof" d="${line}"/>` +
    `<text class="roof-name" x="${right - 6}" y="${(yr - 9).toFixed(1)}" text-anchor="end">arithmetic peak ${scaled(peaks.flops, "FLOP/s")}</text>` +
    `<text class="roof-name" transform="translate(${xm.toFixed(1)} ${ym.toFixed(1)}) rotate(${turn.toFixed(2)})" dy="-9" text-anchor="middle">copy ${scaled(peaks.bytesPerSecond, "B/s")}</text>`
  );
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** Names of the longest kernels, beside their longest points where nothing else stands. */
function names(points: readonly Point[]): string {
  const taken: Box[] = points.map(({ x, y, radius }) => ({
    left: x - radius,
    right: x + radius,
    top: y - radius,
    bottom: y + radius,
  }));
  const longest = points.filter(({ row }, i) => points.findIndex((p) => p.row.kernel === row.kernel) === i);
  const placed: string[] = [];
  for (const { row, x, y, radius } of longest.slice(0, NAMED)) {
    const width = row.kernel.length * 7.3;
    const spots = [
      { left: x + radius + 5, top: y - 8 },
      { left: x - radius - 5 - width, top: y - 8 },
      { left: x - width / 2, top: y - radius - 19 },
      { left: x - width / 2, top: y + radius + 3 },
    ];
    const spot = spots
      .map(({ left, top }) => ({ left, top, right: left + width, bottom: top + 16 }))
      .find(
        (box) =>
          box.left > FRAME.left &&
          box.right < WIDTH - FRAME.right &&
          box.top > 0 &&
          box.bottom < HEIGHT - FRAME.bottom &&
          !taken.some((other) => overlap(box, other)),
      );
    if (!spot) continue;
    taken.push(spot);
    placed.push(
      `<text class="name" x="${spot.left.toFixed(1)}" y="${(spot.top + 12).toFixed(1)}">${escapeHtml(row.kernel)}</text>`,
    );
  }
  return placed.join("");
}

function describe(row: KernelRow, stepSeconds: number, peaks: Peaks | null): string {
  const { flops, bytesPerSecond, ofArithmetic, ofCopy } = ratesOf(row, peaks);
  const intensity = row.flop / row.bytes;
  const lines = [
    `${row.kernel} ${row.shape}`,
    `${formatTime(row.seconds)} in all, ${formatShare(row.seconds / stepSeconds)} of the step (${row.phases.join(", ")})`,
    `${scaled(flops ?? 0, "FLOP/s")}${ofArithmetic === null ? "" : `, ${formatShare(ofArithmetic)} of the arithmetic peak`}`,
    `${scaled(bytesPerSecond ?? 0, "B/s")}${ofCopy === null ? "" : `, ${formatShare(ofCopy)} of the copy peak`}`,
    `${digits(intensity)} FLOP a byte`,
  ];
  if (peaks) {
    const roof = Math.min(peaks.flops, intensity * peaks.bytesPerSecond);
    lines.push(`${formatShare((flops ?? 0) / roof)} of the roof above it`);
  }
  return lines.join("\n");
}
