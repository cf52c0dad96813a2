// Builds the package in the current folder: JavaScript with esbuild (`.wgsl` files become strings), types with tsc.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { build } from "esbuild";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const entries = Object.values(manifest.exports ?? {})
  .map((door) => door.import ?? door)
  .filter((file) => file.endsWith(".js"))
  .concat(Object.values(manifest.bin ?? {}))
  .map((file) => file.replace("./dist/", "src/").replace(/\.js$/, ".ts"));

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: [...new Set(entries)],
  outdir: "dist",
  outbase: "src",
  bundle: true,
  splitting: true,
  chunkNames: "chunks/[name]-[hash]",
  format: "esm",
  target: "es2022",
  platform: "neutral",
  packages: "external",
  external: ["node:*"],
  sourcemap: true,
  loader: { ".wgsl": "text" },
  logLevel: "warning",
});
const tsc = ["node_modules/typescript/bin/tsc", "../../node_modules/typescript/bin/tsc"].find(existsSync);
execFileSync(process.execPath, [tsc, "-p", "tsconfig.json"], { stdio: "inherit" });
copyFileSync("../../LICENSE", "dist/LICENSE");
