// Makes packages/cli/fixtures/ops, the reference cases that `wgrad verify` ships with, out of the full set:
//
//   node scripts/slice-fixtures.mjs [folder of the full set]
//
// The folder holds index.json and a safetensors file for each operation; by default fixtures/ops under WGRAD_SHARED, else
// under ../shared. Of each operation it takes the largest cases that are small enough to ship: large ones tell more.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors, writeSafetensors } from "../packages/tensor/dist/index.js";

const CASES = 2;
const CASE_BYTES = 2000;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const shared = process.env.WGRAD_SHARED ?? join(root, "../shared");
const from = resolve(process.argv[2] ?? join(shared, "fixtures/ops"));
const to = join(root, "packages/cli/fixtures/ops");

const index = JSON.parse(readFileSync(join(from, "index.json"), "utf8"));
rmSync(to, { recursive: true, force: true });
mkdirSync(to, { recursive: true });
let total = 0;
for (const entry of Object.values(index.ops)) {
  const stored = readSafetensors(readFileSync(join(from, entry.file)), { file: entry.file });
  const names = [...stored.tensors.keys()];
  const sized = entry.cases.map((one) => {
    const own = names.filter((name) => name.startsWith(`${one.name}.`));
    return { one, own, bytes: own.reduce((sum, name) => sum + stored.get(name).bytes.byteLength, 0) };
  });
  const bySize = sized.sort((a, b) => b.bytes - a.bytes);
  const small = bySize.filter(({ bytes }) => bytes <= CASE_BYTES);
  const taken = small.length > 0 ? small.slice(0, CASES) : bySize.slice(-1);
  const tensors = new Map(taken.flatMap(({ own }) => own.map((name) => [name, stored.get(name)])));
  const bytes = writeSafetensors(tensors);
  writeFileSync(join(to, entry.file), bytes);
  entry.cases = entry.cases.filter((one) => taken.some((other) => other.one === one));
  total += bytes.byteLength;
}
const text = `${JSON.stringify(index)}\n`;
writeFileSync(join(to, "index.json"), text);
const cases = Object.values(index.ops).reduce((sum, { cases: list }) => sum + list.length, 0);
const kilobytes = Math.round((total + text.length) / 1000);
console.log(`${cases} cases of ${Object.keys(index.ops).length} operations, ${kilobytes} kB in ${to}`);
