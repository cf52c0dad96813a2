import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
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

const WORKER = /new URL\("\.\/([\w-]+)\.worker\.js", import\.meta\.url\)/g;

/** Builds the file of a worker thread from its source, as the package's build does: Node starts no thread from TypeScript. */
const workers = {
  name: "worker-threads",
  enforce: "pre" as const,
  async transform(code: string, id: string) {
    const source = dirname(id.split("?")[0] ?? id);
    let changed = code;
    for (const [url, name] of code.matchAll(WORKER)) {
      // In node_modules, so that the packages it imports are found from there.
      const outfile = resolve(
        import.meta.dirname,
        `node_modules/.cache/wgrad-workers/${basename(dirname(source))}-${process.pid}/${name}.worker.mjs`,
      );
      await build({
        entryPoints: [resolve(source, `${name}.worker.ts`)],
        outfile,
        bundle: true,
        format: "esm",
        platform: "node",
        packages: "external",
        logLevel: "warning",
      });
      changed = changed.replace(url, `new URL("${pathToFileURL(outfile)}")`);
    }
    return changed === code ? undefined : { code: changed, map: null };
  },
};

/**
 * The Vitest project of one package, or of the repository's own tests.
 * @param name what the report calls it
 * @param include its test files, from the folder of the configuration
 */
export function project(name: string, include = ["src/**/*.test.ts"]): ViteUserConfig {
  return {
    plugins: [texts, workers],
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
