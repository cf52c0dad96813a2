// What every benchmark prints and writes: a table, what was asked, and JSON with adapter, driver, date, versions and commit.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { root, run } from "../../scripts/lib/shell.mjs";

/** `1.23`, `45.6`, `789`: three digits that mean something. */
export function short(number) {
  if (number === null || number === undefined) return "-";
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  if (size === 0) return "0";
  if (size < 0.01) return number.toExponential(1);
  return size < 10 ? number.toFixed(2) : size < 100 ? number.toFixed(1) : number.toFixed(0);
}

/** Lines of a table: the first column to the left, the others to the right. */
export function table(head, rows) {
  const all = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ");
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...all.slice(1).map(line)].join(
    "\n",
  );
}

/** The commit of this checkout, with `+` behind it when tracked files differ from it; null outside of git. */
function commit() {
  const { code, out } = run("git", ["rev-parse", "HEAD"]);
  if (code !== 0) return null;
  const changed = run("git", ["status", "--porcelain", "--untracked-files=no"]).out.trim() !== "";
  return out.trim() + (changed ? "+" : "");
}

/** Version of an installed package. */
export function versionOf(folder) {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

/** What is asked of a figure, and whether it holds: `atMost` or `atLeast`. */
export const isMet = ({ found, atMost, atLeast }) =>
  found !== null && (atMost === undefined || found <= atMost) && (atLeast === undefined || found >= atLeast);

/** Lines of the table of what is asked and found. */
export function checkTable(checks) {
  const cells = checks.map((check) => [
    check.what,
    short(check.found),
    check.atLeast === undefined ? `<= ${short(check.atMost)}` : `>= ${short(check.atLeast)}`,
    isMet(check) ? "yes" : "NO",
  ]);
  return table(["asked", "found", "target", "met"], cells);
}

/** `llvmpipe` of "llvmpipe: Mesa 25": the adapter's part of a result file's name. */
export function adapterSlug({ description, device }) {
  const slug = (description || device)
    .split(/[:(,]| driver /, 1)[0]
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  return slug || "adapter";
}

/** What every result file begins with, and then what was measured. */
function contentOf(name, adapter, result) {
  const checks = result.checks?.map((check) => ({ ...check, met: isMet(check) }));
  // An adapter's own object holds its texts as getters, which JSON does not see.
  const { vendor, architecture, device, description } = adapter;
  return {
    bench: name,
    adapter: { vendor, architecture, device, description },
    driver: adapter.description.split(/:\s*/, 2)[1] ?? "",
    date: new Date().toISOString(),
    commit: commit(),
    host: { cpu: cpus()[0]?.model ?? "", cores: cpus().length, loadAverage: loadavg()[0] },
    ...result,
    ...(checks ? { checks } : {}),
  };
}

/**
 * Writes a result where --json says, to a name beside it first, then renamed, and tells so.
 * @param {string | undefined} where a file; `auto`: bench/results/<name>-<adapter>-<date>.json; undefined: nowhere
 * @param {string} name of the benchmark
 * @param {{ vendor: string, architecture: string, device: string, description: string }} adapter
 * @param {object} result what was measured; `checks` among it get their `met`
 */
export function writeJson(where, name, adapter, result) {
  if (!where) return;
  const date = new Date().toISOString().slice(0, 10);
  const automatic = join(root, "bench/results", `${name}-${adapterSlug(adapter)}-${date}.json`);
  const file = where === "auto" ? automatic : resolve(where);
  mkdirSync(dirname(file), { recursive: true });
  const text = `${JSON.stringify(contentOf(name, adapter, result), null, 2)}\n`;
  writeFileSync(`${file}.part`, text, { flush: true });
  renameSync(`${file}.part`, file);
  console.log(`\nwritten: ${relative(process.cwd(), file)}`);
}
