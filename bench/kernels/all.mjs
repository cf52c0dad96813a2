// Every benchmark of a kernel ladder, one after another: `node bench/kernels/all.mjs [options of the benchmarks]`.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const failed = [];
for (const file of readdirSync(folder).sort()) {
  if (!file.endsWith(".bench.mjs")) continue;
  console.log(`\n== ${file}`);
  const { status } = spawnSync(process.execPath, [join(folder, file), ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  if (status !== 0) failed.push(file);
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(", ")}`);
  process.exitCode = 1;
}
