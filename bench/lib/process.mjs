// A library in a process of its own: the parent asks, one request at a time, so that only one of them works at once.
import { fork } from "node:child_process";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { dawnNoise } from "../../scripts/lib/shell.mjs";

/**
 * Starts a process that answers requests (see `serve`).
 * @param {URL | string} file module to run
 * @param {string[]} [args] its arguments
 * @param {Record<string, string>} [env] added to this process' environment
 * @returns {{ ask: (method: string, ...args: unknown[]) => Promise<any>, end: () => void }} a request that fails, or a
 * process that ends before it has answered, rejects
 */
export function start(file, args = [], env = {}) {
  const child = fork(file, args, {
    env: { XDG_RUNTIME_DIR: tmpdir(), ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  // stdout of the parent is for its table; libraries greet on theirs.
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      if (!dawnNoise.test(line)) process.stderr.write(`[${args.join(" ")}] ${line}\n`);
    });
  }
  const waiting = new Map();
  let next = 0;
  child.on("message", ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error));
    else resolve(result);
  });
  child.on("exit", (code, signal) => {
    for (const { reject } of waiting.values())
      reject(new Error(`${args.join(" ")}: its process ended (${signal ?? `exit code ${code}`})`));
  });
  return {
    ask: (method, ...values) =>
      new Promise((resolve, reject) => {
        waiting.set(next, { resolve, reject });
        child.send({ id: next++, method, values });
      }),
    end: () => child.disconnect(),
  };
}

/** Answers the parent's requests with these functions, until the parent lets go. */
export function serve(methods) {
  process.on("disconnect", () => process.exit(0));
  process.on("message", async ({ id, method, values }) => {
    try {
      process.send({ id, result: await methods[method](...values) });
    } catch (error) {
      process.send({ id, error: error.stack ?? String(error) });
    }
  });
}
