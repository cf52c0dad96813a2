// Installs the peers beside these scripts on first use; nothing else in the repository needs them.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run, Stop, say } from "../../scripts/lib/shell.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const read = (file) => JSON.parse(readFileSync(join(folder, file), "utf8"));
const manifestOf = (name) => join("node_modules", name, "package.json");

/** Versions of the peers as pinned in package.json. */
export const pinned = read("package.json").dependencies;

/** `npm ci` in this folder, unless what it asks for is there. @throws {Stop} when npm fails */
export function ensurePeers() {
  const there = ([name, version]) =>
    existsSync(join(folder, manifestOf(name))) && read(manifestOf(name)).version === version;
  if (Object.entries(pinned).every(there)) return;
  say("Installing the peers (npm ci in bench/peers)");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { code, out, err, missing } = run(npm, [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefix",
    folder,
  ]);
  if (missing)
    throw new Stop("npm was not found. Install Node 20 or newer together with npm, then run this again.");
  if (code !== 0)
    throw new Stop(`npm ci in bench/peers failed:\n${out}${err}\nCheck the network and the registry.`);
}
