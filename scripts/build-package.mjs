// Builds the package in the current folder: JavaScript with esbuild (`.wgsl` and `.html` files become strings), types with tsc.
// The result replaces dist/ in one step, so whoever imports the package meanwhile finds the old one or the new one.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const doors = Object.values(manifest.exports ?? {});
const entries = doors.map((door) => door.import.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
// What a command in bin/ starts.
if (manifest.bin) entries.push("src/main.ts");
// Threads run files of their own, beside the entry that starts them with `new URL("./x.worker.js", import.meta.url)`.
entries.push(
  ...readdirSync("src")
    .filter((name) => name.endsWith(".worker.ts"))
    .map((name) => `src/${name}`),
);

const next = `.dist-${process.pid}`;
const last = `${next}-old`;
try {
  await build({
    entryPoints: [...new Set(entries)],
    outdir: next,
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
    loader: { ".wgsl": "text", ".html": "text" },
    logLevel: "warning",
  });
  // A type that does not check fails the build, yet the JavaScript is there to be tried.
  const tsc = ["node_modules/typescript/bin/tsc", "../../node_modules/typescript/bin/tsc"].find(existsSync);
  const types = spawnSync(process.execPath, [tsc, "-p", "tsconfig.json", "--outDir", next], {
    stdio: "inherit",
  });
  process.exitCode = types.status ?? 1;

  // TypeScript's own DOM types lack WebGPU: a package whose types use it says where they come from.
  if (manifest.dependencies?.["@webgpu/types"]) {
    for (const door of doors) {
      const file = join(next, door.types.replace("./dist/", ""));
      writeFileSync(file, `/// <reference types="@webgpu/types" />\n${readFileSync(file, "utf8")}`);
    }
  }
  copyFileSync("../../LICENSE", join(next, "LICENSE"));
  // The command runs them by name, wherever it is installed.
  if (manifest.bin) cpSync("../../recipes", join(next, "recipes"), { recursive: true });
  if (existsSync("dist")) renameSync("dist", last);
  renameSync(next, "dist");
} finally {
  rmSync(next, { recursive: true, force: true });
  rmSync(last, { recursive: true, force: true });
}
