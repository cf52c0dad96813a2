// What every benchmark prints and writes: a table, and JSON with adapter, driver, date, versions and commit.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
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

/**
 * Writes bench/results/<name>-<adapter>-<date>.json: to a name beside it first, then renamed.
 * @param {string} name of the benchmark
 * @param {{ vendor: string, architecture: string, device: string, description: string }} adapter
 * @param {object} result what was measured
 * @returns {string} the file, from the root of the repository
 */
export function writeResult(name, adapter, result) {
  const now = new Date();
  const [device, driver] = adapter.description.split(/:\s*/, 2);
  const slug =
    device
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "") || "adapter";
  const file = join(root, "bench/results", `${name}-${slug}-${now.toISOString().slice(0, 10)}.json`);
  const content = {
    bench: name,
    adapter,
    driver: driver ?? "",
    date: now.toISOString(),
    commit: commit(),
    host: { cpu: cpus()[0]?.model ?? "", cores: cpus().length, loadAverage: loadavg()[0] },
    ...result,
  };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, `${JSON.stringify(content, null, 2)}\n`, { flush: true });
  renameSync(`${file}.part`, file);
  return file.slice(root.length + 1);
}
