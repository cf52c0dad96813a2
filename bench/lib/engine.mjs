// What the benchmarks of single kernels share: an op's own modules, and the JSON file that --json names.
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { root } from "../../scripts/lib/shell.mjs";

process.env.XDG_RUNTIME_DIR ??= tmpdir();

/**
 * Modules of the engine that its package does not export, bundled from source, with `openDevice`, `scope`, `noGrad` and
 * `Tensor`.
 * @param {string} folder of the op, below `packages/tensor/src/ops`
 * @param {Record<string, string>} wanted for each file of that folder: the names to take from it
 */
export async function loadOp(folder, wanted) {
  const outfile = join(root, `node_modules/.cache/wgrad/${folder}-bench.mjs`);
  const own = Object.entries(wanted).map(
    ([file, names]) => `export { ${names} } from "./ops/${folder}/${file}.ts";`,
  );
  await build({
    stdin: {
      contents: [
        'export { openDevice } from "./node.ts";',
        'export { noGrad, scope } from "./autograd/modes.ts";',
        'export { Tensor } from "./tensor.ts";',
        ...own,
      ].join("\n"),
      resolveDir: join(root, "packages/tensor/src"),
    },
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    packages: "external",
    loader: { ".wgsl": "text" },
    logLevel: "warning",
  });
  return import(pathToFileURL(outfile).href);
}

/** Writes what was measured beside its place and renames it; nothing without a name. */
export function writeRows(name, adapter, rows) {
  if (!name) return;
  const file = resolve(name);
  mkdirSync(dirname(file), { recursive: true });
  const content = { adapter, date: new Date().toISOString().slice(0, 10), rows };
  writeFileSync(`${file}.part`, `${JSON.stringify(content, null, 2)}\n`);
  renameSync(`${file}.part`, file);
}
