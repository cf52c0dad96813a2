/** Text tables with aligned columns. */

/**
 * Lines of a table: a header, a rule and the rows. Numbers stand to the right, words to the left.
 * @param left columns that are words, by index; default the first
 */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  left: readonly number[] = [0],
): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) => formatRow(cells, widths, left);
  return [line(header), widths.map((w) => "─".repeat(w)).join("  "), ...rows.map(line)].join("\n");
}

/** One line of a table whose widths are known. */
export function formatRow(
  cells: readonly string[],
  widths: readonly number[],
  left: readonly number[] = [0],
): string {
  return widths
    .map((width, i) => (left.includes(i) ? (cells[i] ?? "").padEnd(width) : (cells[i] ?? "").padStart(width)))
    .join("  ")
    .trimEnd();
}
