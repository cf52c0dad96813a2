// Small helpers that every script shares: the repository's root, one line per action, running a program.
import { spawnSync } from "node:child_process";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

/** A failure whose message says everything: print it without a stack trace. */
export class Stop extends Error {}

/** Prints one line about something that is being done to this machine or this checkout. */
export function say(line) {
  process.stdout.write(`${line}\n`);
}

/**
 * Runs a program to its end with nothing on its stdin.
 * @param {string} file program
 * @param {string[]} args
 * @param {{ env?: object, timeout?: number, show?: boolean }} [options] `show` passes its output on, else it is collected
 * @returns {{ code: number, out: string, err: string, missing: boolean }} code is 1 when it was ended by a signal
 */
export function run(file, args, options = {}) {
  const done = spawnSync(file, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...options.env },
    timeout: options.timeout,
    maxBuffer: 1 << 28,
    stdio: ["ignore", options.show ? "inherit" : "pipe", options.show ? "inherit" : "pipe"],
  });
  return {
    code: done.status ?? 1,
    out: done.stdout ?? "",
    err: done.stderr ?? "",
    missing: done.error?.code === "ENOENT",
  };
}

/** The two lines that Dawn writes to stderr on every adapter request, on every platform; nothing turns them off. */
export const dawnNoise =
  /^Warning: maxDynamic(?:Uniform|Storage)BuffersPerPipelineLayout artificially reduced from \d+ to \d+ to fit dynamic offset allocation limit\.$/;

/** Ends the process the way `failure` asks for: its message alone when it is a `Stop`, else everything. */
export function fail(failure) {
  process.stderr.write(`${failure instanceof Stop ? failure.message : (failure?.stack ?? failure)}\n`);
  process.exitCode = 1;
}

/** Refuses a Node that the packages do not run on. */
export function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) throw new Stop(`Node ${process.versions.node} is too old: this needs Node 20 or newer.`);
}
