// Dependencies and built packages: made when they are missing or stale, otherwise left alone without a word.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run, Stop, say } from "./shell.mjs";

/**
 * Installs the dependencies with `npm ci` unless node_modules already holds what package-lock.json asks for.
 * @throws {Stop} when npm fails
 */
export function ensureInstalled() {
  const stale = reasonToInstall();
  if (!stale) return;
  say(`Installing dependencies (npm ci): ${stale}`);
  const { code, out, err, missing } = npm(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (missing)
    throw new Stop("npm was not found. Install Node 20 or newer together with npm, then run this again.");
  if (code !== 0)
    throw new Stop(`npm ci failed:\n${out}${err}\nCheck the network and the registry, then run this again.`);
}

/**
 * Builds every package whose sources changed since its last build.
 * @throws {Stop} with the compiler's messages when a package does not build
 */
export function ensureBuilt() {
  const env = { TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", TURBO_NO_UPDATE_NOTIFIER: "1" };
  const bin = join(root, "node_modules/turbo/bin/turbo");
  const turbo = (...args) => run(process.execPath, [bin, "run", "build", ...args], { env });
  const plan = turbo("--dry=json");
  if (plan.code !== 0) throw new Stop(`turbo cannot plan the build:\n${plan.out}${plan.err}`);
  const { tasks } = JSON.parse(plan.out.slice(plan.out.indexOf("{")));
  const stale = tasks.filter((task) => task.cache.status !== "HIT" && task.command !== "<NONEXISTENT>");
  if (stale.length > 0) say(`Building ${stale.map((task) => task.package).join(", ")}`);
  const built = turbo("--output-logs=errors-only");
  if (built.code !== 0) throw new Stop(`The build failed:\n${built.out}${built.err}`);
}

/** Why node_modules cannot be used as it is, or undefined when it can. */
function reasonToInstall() {
  // npm writes this file last, so it exists only after a complete install, and lists what is there.
  const record = join(root, "node_modules/.package-lock.json");
  if (!existsSync(record)) return "node_modules is missing or incomplete";
  const installed = JSON.parse(readFileSync(record, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes("node_modules/")) continue;
    const found = installed[path];
    if (found ? found.version !== entry.version || found.resolved !== entry.resolved : !entry.optional)
      return `package-lock.json asks for ${path.replace(/^.*node_modules\//, "")} ${entry.version ?? ""}`.trimEnd();
  }
  for (const path of Object.keys(installed))
    if (path.includes("node_modules/") && !wanted[path]) return "package-lock.json changed";
  return undefined;
}

/** Runs the npm that started this script, else the one on the path. */
function npm(args) {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith(".js") && existsSync(cli)) return run(process.execPath, [cli, ...args]);
  return process.platform === "win32" ? run("cmd.exe", ["/c", "npm", ...args]) : run("npm", args);
}
