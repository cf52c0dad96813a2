// `npm run quickstart`: installs and builds what is missing, makes sure of an adapter, then trains the embedded example.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureAdapter } from "./lib/ensure-adapter.mjs";
import { ensureBuilt, ensureInstalled } from "./lib/install.mjs";
import { checkNode, fail, root } from "./lib/shell.mjs";

try {
  checkNode();
  ensureInstalled();
  ensureBuilt();
  ensureAdapter();
  process.exitCode = await wgrad("quickstart", ...process.argv.slice(2));
} catch (failure) {
  fail(failure);
}

/** Runs the command line of this checkout on this terminal; Ctrl-C is for it to handle. */
function wgrad(...args) {
  const child = spawn(process.execPath, [join(root, "packages/cli/dist/main.js"), ...args], {
    stdio: "inherit",
  });
  for (const signal of ["SIGINT", "SIGTERM"])
    process.on(signal, () => signal === "SIGTERM" && child.kill(signal));
  return new Promise((settle, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => settle(code ?? (signal === "SIGINT" ? 130 : 1)));
  });
}
