import { type KernelRow, type ModuleNode, type PhaseRow, ratesOf, type Totals } from "../aggregate.js";
import { formatCount, formatShare, formatTime, scaled } from "../numbers.js";
import type { Peaks } from "../profile.js";
import { escapeHtml, type OpColours } from "./html.js";

/** One column: its heading and its cells. */
interface Column<Row> {
  readonly title: string;
  /** Words stand to the left and sort by the alphabet. */
  readonly words?: boolean;
  readonly code?: boolean;
  /** May take several lines. */
  readonly wraps?: boolean;
  /** What it is sorted by. */
  value(row: Row): string | number;
  /** HTML of a cell. */
  cell(row: Row): string;
}

function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const classes = ({ words, code, wraps }: Column<Row>) => {
    const names = [words ? "words" : "", code ? "code" : "", wraps ? "wraps" : ""].filter(Boolean).join(" ");
    return names ? ` class="${names}"` : "";
  };
  const head = columns
    .map(
      (column) =>
        `<th${column.words ? ' class="words"' : ""} scope="col"><button type="button">${column.title}</button></th>`,
    )
    .join("");
  const body = rows.map(
    (row) =>
      `<tr>${columns
        .map(
          (column) =>
            `<td${classes(column)} data-value="${escapeHtml(String(column.value(row)))}">${column.cell(row)}</td>`,
        )
        .join("")}</tr>`,
  );
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

function time<Row extends Totals>(title: string, seconds: (row: Row) => number): Column<Row> {
  return { title, value: seconds, cell: (row) => (seconds(row) > 0 ? formatTime(seconds(row)) : "–") };
}

/** Columns that every table ends with. */
function costs<Row extends Totals>(peaks: Peaks | null, isTimed: boolean): Column<Row>[] {
  const amount = (title: string, unit: string, of: (row: Row) => number | null): Column<Row> => ({
    title,
    value: (row) => of(row) ?? 0,
    cell: (row) => (of(row) ? scaled(of(row)!, unit) : "–"),
  });
  const share = (title: string, of: (row: Row) => number | null): Column<Row> => ({
    title,
    value: (row) => of(row) ?? -1,
    cell: (row) => formatShare(of(row)),
  });
  const columns = [amount("FLOP", "FLOP", (row) => row.flop)];
  if (isTimed) columns.push(amount("FLOP/s", "FLOP/s", (row) => ratesOf(row, peaks).flops));
  if (isTimed && peaks) columns.push(share("of peak", (row) => ratesOf(row, peaks).ofArithmetic));
  columns.push(amount("bytes", "B", (row) => row.bytes));
  if (isTimed) columns.push(amount("bytes/s", "B/s", (row) => ratesOf(row, peaks).bytesPerSecond));
  if (isTimed && peaks) columns.push(share("of copy", (row) => ratesOf(row, peaks).ofCopy));
  return columns;
}

/** Shares of the whole, each with a bar that is full for the largest. */
function shareOf<Row extends Totals>(
  rows: readonly Row[],
  whole: number,
  style: (row: Row) => string = () => "",
): Column<Row> {
  const share = (row: Row) => (whole > 0 ? row.seconds / whole : 0);
  const largest = Math.max(...rows.map(share), 1e-9);
  return {
    title: "share",
    value: share,
    cell: (row) =>
      `${formatShare(share(row))}<span class="share" style="${style(row)}"><i style="width: ${((100 * share(row)) / largest).toFixed(1)}%"></i></span>`,
  };
}

function dispatches<Row extends Totals>(): Column<Row> {
  return {
    title: "dispatches",
    value: (row) => row.dispatches,
    cell: (row) => formatCount(row.dispatches),
  };
}

/** What the tables need to know of the whole. */
export interface TableContext {
  readonly peaks: Peaks | null;
  /** Of all dispatches. */
  readonly seconds: number;
  readonly isTimed: boolean;
  readonly colours: OpColours;
}

/** Passes. */
export function phaseTable(rows: readonly PhaseRow[], { peaks, seconds, isTimed }: TableContext): string {
  return table<PhaseRow>(rows, [
    { title: "pass", words: true, value: (row) => row.phase, cell: (row) => row.phase },
    ...(isTimed ? [time<PhaseRow>("time", (row) => row.seconds), shareOf(rows, seconds)] : []),
    dispatches<PhaseRow>(),
    ...costs<PhaseRow>(peaks, isTimed),
  ]);
}

/** Kernels by shape. */
export function kernelTable(
  rows: readonly KernelRow[],
  { peaks, seconds, isTimed, colours }: TableContext,
): string {
  return table<KernelRow>(rows, [
    {
      title: "kernel",
      words: true,
      code: true,
      value: (row) => row.kernel,
      cell: (row) => `<span class="swatch" style="${colours.style(row.op)}"></span>${escapeHtml(row.kernel)}`,
    },
    {
      title: "shape",
      words: true,
      code: true,
      wraps: true,
      value: (row) => row.shape,
      cell: (row) => escapeHtml(row.shape),
    },
    {
      title: "pass",
      words: true,
      value: (row) => row.phases.join(", "),
      cell: (row) => row.phases.join(", "),
    },
    ...(isTimed
      ? [
          time<KernelRow>("time", (row) => row.seconds),
          shareOf(rows, seconds, (row) => colours.style(row.op)),
        ]
      : []),
    dispatches<KernelRow>(),
    ...costs<KernelRow>(peaks, isTimed),
  ]);
}

/** A module in a flat list, with its totals at the top level for the shared columns. */
interface FlatModule extends Totals {
  readonly node: ModuleNode;
}

/** Modules in the tree's order. */
export function moduleTable(roots: readonly ModuleNode[], { peaks, seconds, isTimed }: TableContext): string {
  const rows: FlatModule[] = [];
  const add = (node: ModuleNode): void => {
    rows.push({ node, ...node.total });
    node.children.forEach(add);
  };
  roots.forEach(add);
  const name = ({ node }: FlatModule) => {
    const before = node.path.slice(0, Math.max(0, node.path.length - node.name.length));
    return node.path === ""
      ? escapeHtml(node.name)
      : `<span class="faint">${escapeHtml(before)}</span>${escapeHtml(node.name)}`;
  };
  const timed: Column<FlatModule>[] = [
    time("time", (row) => row.seconds),
    shareOf(rows, seconds),
    time("its own", ({ node }) => node.self.seconds),
    time("forward", ({ node }) => node.phases.forward),
    time("backward", ({ node }) => node.phases.backward),
  ];
  return table<FlatModule>(rows, [
    { title: "module", words: true, code: true, value: ({ node }) => node.path, cell: name },
    ...(isTimed ? timed : []),
    dispatches<FlatModule>(),
    ...costs<FlatModule>(peaks, isTimed),
  ]);
}
