import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/** What Node and CommonJS have as globals and browsers do not. */
const nodeGlobals = [
  "Buffer",
  "process",
  "global",
  "require",
  "module",
  "__dirname",
  "__filename",
  "setImmediate",
  "clearImmediate",
];

/** A bundle for browsers. */
export interface Bundle {
  code: string;
  gzipBytes: number;
  /** Uses of Node's globals, each with the text around it. */
  nodeGlobals: string[];
}

/**
 * Bundles a module text for browsers, minified, as an ES module without any import left.
 * @throws esbuild's error for an import that browsers do not have, such as `node:fs`
 */
export async function bundleForBrowsers(contents: string): Promise<Bundle> {
  const mark = "$nodeGlobal_";
  const result = await build({
    stdin: { contents, resolveDir: here, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    write: false,
    logLevel: "silent",
    // esbuild puts these in the place of free names only: not of a property or of a local variable that is called `process`.
    define: Object.fromEntries(
      nodeGlobals.flatMap((name) => [
        [name, mark + name],
        [`globalThis.${name}`, mark + name],
      ]),
    ),
  });
  const code = result.outputFiles[0]!.text;
  const found = code.matchAll(/.{0,60}\$nodeGlobal_(\w+).{0,60}/g);
  return {
    code,
    gzipBytes: gzipSync(code, { level: 9 }).length,
    nodeGlobals: [...found].map(([around, name]) => `${name}: ${around}`),
  };
}
