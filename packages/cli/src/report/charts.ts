/**
 * Charts as SVG text, drawn by Observable Plot. Each is a file of its own as it stands and may as well be put into a page: it
 * needs no script, turns dark with the reader's system, and tells its lines apart by dashes and markers as well as by colour.
 */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { escapeText } from "./escape.js";

/** One line of a chart. */
export interface Series {
  name: string;
  /** Sorted by x. A value that is not finite leaves a gap. */
  points: readonly (readonly [x: number, y: number])[];
  /** Whether the line is dashed; default: lines differ from each other. */
  dash?: boolean;
  /** Draws a moving mean, and the values themselves faintly behind it, where there are more than 60. */
  smooth?: boolean;
}

/** What {@link lineChart} draws. */
export interface LineChart {
  title: string;
  xLabel: string;
  yLabel: string;
  /** At most {@link MOST_SERIES} look different. */
  series: readonly Series[];
  /** Range of y that is shown at least. */
  yRange?: readonly [low: number, high: number];
  /** Where the ticks of x stand; default: round numbers. */
  xTicks?: readonly number[];
  /** In pixels; the text is made for 460, on which it is 12 pixels high. */
  width?: number;
  height?: number;
}

/** One bar of a chart. */
export interface Bar {
  name: string;
  value: number;
  /** What stands at its end. */
  label: string;
}

/** What {@link barChart} draws. */
export interface BarChart {
  title: string;
  xLabel: string;
  /** From top to bottom. */
  bars: readonly Bar[];
  /** Range of x; default from 0 to the largest value. */
  xRange?: readonly [low: number, high: number];
  width?: number;
}

/** How many lines of a chart look different; more begin anew. */
export const MOST_SERIES = 8;

const WIDTH = 460;
const HEIGHT = 290;
const FONT = 12;
/** The mean width of a character at that size in a wide font. */
const CHARACTER = 7;
const LEGEND_LINE = 18;
const SAMPLE = 30;

const LIGHT = ["#1f5fb4", "#c2410c", "#0d7a53", "#7a3fa8", "#8a6100", "#b02a63", "#0b7285", "#4a4a45"];
const DARK = ["#79b0ff", "#ff9a62", "#4fd19c", "#c79bf2", "#e0b23e", "#ff8fb8", "#55c7dc", "#c4c3bb"];
/** Dashes of the lines; every second marker is hollow, so that they also differ where lines are short. */
const DASHES = ["", "7 3", "2 2.5", "9 3 2 3", "", "7 3", "2 2.5", "9 3 2 3"] as const;
const MARKERS = [
  "circle",
  "square",
  "triangle",
  "diamond",
  "square",
  "triangle",
  "diamond",
  "circle",
] as const;
/** Lines with no more points than that have a marker on each, others some. */
const MARKED = 14;
/** More points than that cannot be seen in the width of a chart. */
const MOST_POINTS = 600;

/** A line of more points than that may be smoothed. */
const SMOOTHED = 60;

type Marker = (typeof MARKERS)[number];

function style(): string {
  const lines = (colours: readonly string[], indent: string) =>
    colours
      .map((colour, i) => `${indent}.wg .s${i} { stroke: ${colour}; } .wg .f${i} { fill: ${colour}; }`)
      .join("\n");
  return `<style>
.wg { color: #16150f; color-scheme: light dark; max-width: 100%; height: auto; display: block; font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
.wg .ground { fill: #ffffff; } .wg .hollow { fill: #ffffff; }
.wg text { stroke: none; fill: #3d3b34; } .wg .title { fill: #16150f; font-weight: 600; }
.wg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: butt; } .wg .faint { stroke-width: 1; opacity: 0.35; } .wg .mark { stroke-width: 1.5; }
${lines(LIGHT, "")}
@media print { .wg { color-scheme: light; } }
@media screen and (prefers-color-scheme: dark) {
  .wg { color: #f4f4ef; }
  .wg .ground { fill: #1a1a19; } .wg .hollow { fill: #1a1a19; }
  .wg text { fill: #cfcdc3; } .wg .title { fill: #f4f4ef; }
${lines(DARK, "  ")}
}
</style>`;
}

/**
 * A chart of lines with a legend above them.
 * @returns an SVG document. Without a finite point it says that there is nothing to show.
 */
export function lineChart(chart: LineChart): string {
  const { title, xLabel, yLabel, width = WIDTH, height = HEIGHT } = chart;
  const series = chart.series.map((line) => ({ ...line, points: thinned(line.points, MOST_POINTS) }));
  const finite = series.flatMap(({ points }) => points.filter(isFinitePoint));
  const legend = legendOf(chart.series, width);
  if (finite.length === 0)
    return frame({ title, summary: "no values", width, height: 90 }, [emptyNote(width)]);
  const ys = [...finite.map(([, y]) => y), ...(chart.yRange ?? [])];
  const [low, high] = [least(ys), most(ys)];
  const xs = finite.map(([x]) => x);
  const right = most(xs);
  // A first step of 10 among 1,000 is as good as 0.
  const left = !chart.xTicks && least(xs) > 0 && least(xs) <= right / 10 ? 0 : least(xs);
  const marks = series.flatMap((line, i) => {
    const look = i % MOST_SERIES;
    const dash = line.dash === undefined ? DASHES[look]! : line.dash ? "7 3" : "";
    const data = line.points.map(([x, y]) => ({ x, y: Number.isFinite(y) ? y : Number.NaN }));
    const isSmooth = (line.smooth ?? false) && data.length > SMOOTHED;
    const drawn = isSmooth ? movingMean(data) : data;
    const marked = markersOf(drawn.map(({ x, y }) => [x, y]));
    return [
      ...(isSmooth
        ? [Plot.line(data, { x: "x", y: "y", className: `line s${look} faint`, stroke: "currentColor" })]
        : []),
      Plot.line(drawn, {
        x: "x",
        y: "y",
        className: `line s${look}`,
        stroke: "currentColor",
        strokeDasharray: dash || undefined,
      }),
      Plot.dot(marked, {
        x: ([x]: readonly [number, number]) => x,
        y: ([, y]: readonly [number, number]) => y,
        className: `mark s${look} ${isHollow(look) ? "hollow" : `f${look}`}`,
        symbol: MARKERS[look]!,
        fill: "currentColor",
        r: 3.2,
      }),
    ];
  });
  const plot = draw({
    width,
    height,
    marginLeft: 52,
    marginBottom: 40,
    marginTop: 22,
    x: {
      label: xLabel,
      ticks: chart.xTicks ? [...chart.xTicks] : 6,
      tickFormat: shortNumber,
      domain: left === right ? around(left) : [left, right],
      inset: 4,
    },
    y: {
      label: yLabel,
      grid: true,
      ticks: 5,
      tickFormat: shortNumber,
      domain: low === high ? around(low) : [low, high],
      // To the ticks that are drawn, so that no line ends outside them.
      nice: 5,
    },
    marks: marks as Plot.Markish[],
  });
  const summary = chart.series.map(describe).join("; ");
  const top = 22 + legend.height;
  return frame({ title, summary, width, height: top + height }, [
    legend.svg,
    `<g transform="translate(0,${top})">${plot}</g>`,
  ]);
}

/** A chart of horizontal bars with their values, one below the other. */
export function barChart({ title, xLabel, bars, xRange, width = WIDTH }: BarChart): string {
  const finite = bars.filter(({ value }) => Number.isFinite(value));
  if (finite.length === 0)
    return frame({ title, summary: "no values", width, height: 90 }, [emptyNote(width)]);
  const longest = most(bars.map(({ name }) => name.length));
  const left = Math.min(width * 0.5, longest * CHARACTER + 12);
  const room = Math.floor((left - 12) / CHARACTER);
  const height = bars.length * 26 + 44;
  const [low, high] = xRange ?? [
    Math.min(0, least(finite.map(({ value }) => value))),
    most(finite.map(({ value }) => value)),
  ];
  // Two bars of one name stay two.
  const rows = bars.map((bar, i) => ({ ...bar, row: String(i) }));
  const plot = draw({
    width,
    height,
    marginLeft: left,
    marginRight: 64,
    marginTop: 4,
    marginBottom: 36,
    x: {
      label: xLabel,
      domain: low === high ? around(low) : [low, high],
      ticks: 5,
      tickFormat: shortNumber,
      grid: true,
    },
    y: {
      label: null,
      domain: rows.map(({ row }) => row),
      tickFormat: (row: string) => cutInside(bars[Number(row)]!.name, room),
      tickSize: 0,
      padding: 0.25,
    },
    marks: [
      Plot.rectX(
        rows.filter(({ value }) => Number.isFinite(value)),
        { x1: low, x2: "value", y: "row", className: "f0", fill: "currentColor" },
      ),
      Plot.text(rows, {
        x: (bar: Bar) => (Number.isFinite(bar.value) ? bar.value : low),
        y: "row",
        text: "label",
        textAnchor: "start",
        dx: 5,
      }),
    ],
  });
  const summary = bars.map(({ name, label }) => `${name} ${label}`).join("; ");
  return frame({ title, summary, width, height: 22 + height }, [
    `<g transform="translate(0,22)">${plot}</g>`,
  ]);
}

/** Several charts as one picture, from left to right. */
export function sideBySide(charts: readonly string[]): string {
  const gap = 16;
  const names: string[] = [];
  let width = 0;
  let height = 0;
  const parts = charts.map((chart) => {
    const head = /^<svg[^>]*aria-label="([^"]*)" width="([\d.]+)" height="([\d.]+)"/.exec(chart);
    if (!head) throw new Error("sideBySide: expected what lineChart or barChart returned");
    const x = width === 0 ? 0 : width + gap;
    names.push(head[1]!);
    width = x + Number(head[2]);
    height = Math.max(height, Number(head[3]));
    const inner = chart.replace(/<style>[\s\S]*?<\/style>\n/, "").replace(/ class="wg" role="img"/, "");
    return inner.replace("<svg ", `<svg x="${x}" `);
  });
  return [open(names.join(". "), width, height), style(), ground(width, height), ...parts, "</svg>"].join(
    "\n",
  );
}

/** Plot's drawing without its outer element and style. */
function draw(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const svg = Plot.plot({
    ...options,
    document: document as unknown as Document,
    style: { fontSize: `${FONT}px` },
  });
  const { width, height } = options;
  const drawn = svg.innerHTML.replace(/<style>[\s\S]*?<\/style>/, "").replace(/<[^>]*>/g, shortened);
  return `<svg width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" text-anchor="middle" font-size="${FONT}" fill="currentColor">${drawn}</svg>`;
}

/** A tag whose numbers have two places: more cannot be seen. */
function shortened(tag: string): string {
  return tag.replace(/-?\d+\.\d{3,}/g, (number) => String(Math.round(Number(number) * 100) / 100));
}

function frame(
  { title, summary, width, height }: { title: string; summary: string; width: number; height: number },
  content: readonly string[],
): string {
  return [
    open(escapeText(`${title}: ${summary}`), width, height),
    style(),
    ground(width, height),
    `<text class="title" x="8" y="15" font-size="13">${escapeText(cut(title, Math.floor((width - 16) / 7)))}</text>`,
    ...content,
    "</svg>",
  ].join("\n");
}

/** @param name escaped */
function open(name: string, width: number, height: number): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" class="wg" role="img" aria-label="${name}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-size="${FONT}">`;
}

function ground(width: number, height: number): string {
  return `<rect class="ground" width="${width}" height="${height}"/>`;
}

function emptyNote(width: number): string {
  return `<text x="${width / 2}" y="55" text-anchor="middle">no values to show</text>`;
}

/** Samples of the lines with their names, in as many rows as the width asks for. */
function legendOf(series: readonly Series[], width: number): { svg: string; height: number } {
  const parts: string[] = [];
  let x = 8;
  let y = 12;
  series.forEach((line, i) => {
    const look = i % MOST_SERIES;
    const name = cut(line.name, Math.floor((width - 16 - SAMPLE - 8) / CHARACTER));
    const wide = SAMPLE + 6 + name.length * CHARACTER + 14;
    if (x > 8 && x + wide > width) {
      x = 8;
      y += LEGEND_LINE;
    }
    const dash = line.dash === undefined ? DASHES[look]! : line.dash ? "7 3" : "";
    parts.push(
      `<g transform="translate(${x},${y})"><path class="line s${look}" d="M0,0H${SAMPLE}"${dash ? ` stroke-dasharray="${dash}"` : ""}/>` +
        `<path class="mark s${look} ${isHollow(look) ? "hollow" : `f${look}`}" transform="translate(${SAMPLE / 2},0)" d="${SHAPES[MARKERS[look]!]}"/>` +
        `<text x="${SAMPLE + 6}" y="4">${escapeText(name)}</text></g>`,
    );
    x += wide;
  });
  return { svg: `<g transform="translate(0,16)">${parts.join("")}</g>`, height: y + 6 };
}

/** Outlines of the markers, about as large as Plot draws them. */
const SHAPES: Readonly<Record<Marker, string>> = {
  circle: "M3.2,0A3.2,3.2,0,1,1,-3.2,0A3.2,3.2,0,1,1,3.2,0Z",
  square: "M-2.8,-2.8h5.6v5.6h-5.6Z",
  triangle: "M0,-4.3L3.7,2.2H-3.7Z",
  diamond: "M0,-4.4L2.6,0L0,4.4L-2.6,0Z",
};

function isHollow(look: number): boolean {
  return look % 2 === 1;
}

/** The points that get a marker: all of a short line; of a long one the last and some that are evenly apart. */
function markersOf(points: Series["points"]): Series["points"] {
  const finite = points.filter(isFinitePoint);
  if (finite.length <= MARKED) return finite;
  const every = (finite.length - 1) / 6;
  return Array.from({ length: 7 }, (_, i) => finite[Math.round(i * every)]!);
}

/** At most so many points: of each stretch the lowest and the highest, so that no spike is lost. */
function thinned(points: Series["points"], limit: number): Series["points"] {
  if (points.length <= limit) return points;
  const stretch = Math.ceil((2 * points.length) / limit);
  const kept: (readonly [number, number])[] = [];
  for (let start = 0; start < points.length; start += stretch) {
    const some = points.slice(start, start + stretch);
    const finite = some.filter(isFinitePoint);
    if (finite.length === 0) {
      kept.push(some[0]!);
      continue;
    }
    const lowest = finite.reduce((a, b) => (b[1] < a[1] ? b : a));
    const highest = finite.reduce((a, b) => (b[1] > a[1] ? b : a));
    kept.push(...[...new Set([lowest, highest])].sort((a, b) => a[0] - b[0]));
  }
  return kept;
}

/** Each value replaced by the mean of those around it, a thirtieth of the line to each side. */
function movingMean(points: readonly { x: number; y: number }[]): { x: number; y: number }[] {
  const reach = Math.ceil(points.length / 30);
  return points.map(({ x }, i) => {
    const near = points.slice(Math.max(0, i - reach), i + reach + 1).filter(({ y }) => Number.isFinite(y));
    return { x, y: near.reduce((sum, { y }) => sum + y, 0) / near.length };
  });
}

function isFinitePoint(point: readonly [number, number]): boolean {
  return Number.isFinite(point[0]) && Number.isFinite(point[1]);
}

/** A line in words. */
function describe({ name, points }: Series): string {
  const finite = points.filter(isFinitePoint);
  const first = finite[0];
  const last = finite.at(-1);
  if (!first || !last) return `${name}: no values`;
  if (finite.length === 1) return `${name} ${shortNumber(first[1])}`;
  return `${name} from ${shortNumber(first[1])} to ${shortNumber(last[1])}`;
}

/** `0.05`, `1,500`, `5e-5` */
function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size < 1e-3 || size >= 1e7) return Number(value.toPrecision(3)).toExponential().replace("e+", "e");
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
}

function around(value: number): [number, number] {
  const margin = Math.abs(value) * 0.1 || 1;
  return [value - margin, value + margin];
}

/** Without its middle: names that belong together begin alike, and differ at their ends. */
function cutInside(text: string, length: number): string {
  if (text.length <= length) return text;
  const head = Math.floor(length / 3);
  return `${text.slice(0, head)}…${text.slice(text.length - (length - head - 1))}`;
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(1, length - 1))}…`;
}

function least(values: readonly number[]): number {
  return values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
}

function most(values: readonly number[]): number {
  return values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
}
