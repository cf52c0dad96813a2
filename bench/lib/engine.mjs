// Modules of one op that its package does not export, for a benchmark that needs them.
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { root } from "../../scripts/lib/shell.mjs";

process.env.XDG_RUNTIME_DIR ??= tmpdir();

/** Bundles an entry, given as text, with packages left outside; `folder` is where its paths begin. */
async function bundled(name, contents, folder) {
  const outfile = join(root, `node_modules/.cache/wgrad/${name}-bench.mjs`);
  await build({
    stdin: { contents, resolveDir: join(root, folder), loader: "ts" },
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

/** The rule by which the reference cases of full-size models make weights: `ruleNumbers` and `ruleValues` of `wgrad verify`. */
export const loadRule = () =>
  bundled("rule", 'export { ruleNumbers, ruleValues } from "./rule.ts";', "packages/cli/src/verify");

/**
 * Modules of the engine that its package does not export, bundled from source, with `openDevice`, `scope`, `noGrad` and
 * `Tensor`.
 * @param {string} folder of the op, below `packages/tensor/src/ops`
 * @param {Record<string, string>} wanted for each file of that folder: the names to take from it
 */
export async function loadOp(folder, wanted) {
  const own = Object.entries(wanted).map(
    ([file, names]) => `export { ${names} } from "./ops/${folder}/${file}.ts";`,
  );
  const entry = [
    'export { openDevice } from "./node.ts";',
    'export { noGrad, scope } from "./autograd/modes.ts";',
    'export { Tensor } from "./tensor.ts";',
    ...own,
  ];
  return bundled(folder, entry.join("\n"), "packages/tensor/src");
}
