import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import type { ViteUserConfig } from "vitest/config";

// Mesa's drivers want a folder here and complain on every start without one.
if (process.platform === "linux" && !existsSync(process.env.XDG_RUNTIME_DIR ?? ""))
  process.env.XDG_RUNTIME_DIR = tmpdir();

// Reference data that tests compare with, and that they say is missing where it is.
process.env.WGRAD_SHARED ??= resolve(import.meta.dirname, "../shared");

/** Imports a `.wgsl` or `.html` file as its text, as the build does. */
const texts = {
  name: "files-as-text",
  enforce: "pre" as const,
  transform(code: string, id: string) {
    return /\.(?:wgsl|html)(?:\?|$)/.test(id)
      ? { code: `export default ${JSON.stringify(code)};`, map: null }
      : undefined;
  },
};

/**
 * The Vitest project of one package, or of the repository's own tests.
 * @param name what the report calls it
 * @param include its test files, from the folder of the configuration
 */
export function project(name: string, include = ["src/**/*.test.ts"]): ViteUserConfig {
  return {
    plugins: [texts],
    test: {
      name,
      include,
      // In processes: Dawn aborts the whole run when a thread that uses it is ended (docs/decisions/0001).
      pool: "forks",
      // A software driver takes every core by itself, so more workers only wait for each other.
      maxWorkers: 2,
      // For a software driver on a machine that does other things besides.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      // Other packages are taken as built, as a user of the packages gets them.
      server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
    },
  };
}
