// Single operations of wgrad beside jax-js and TensorFlow.js on the same adapter, in interleaved rounds, results compared.
//
//   node bench/peers/ops.mjs [--only regex] [--rounds 5] [--sample 200] [--libraries wgrad,jax-js,tfjs] [--tiny] [--json file|auto]
//
// Each library has a process of its own; only one works at a time. CPU ms is the processor time of all its threads for one
// call, the median of the rounds: on a software driver that is the GPU's time. --sample: milliseconds that the calls of one
// sample take together. --json auto: write bench/results/peers-ops-<adapter>-<date>.json.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fail, root } from "../../scripts/lib/shell.mjs";
import { median } from "../lib/measure.mjs";
import { compare, count, integers, normal, readNumbers, writeNumbers } from "../lib/numbers.mjs";
import { start } from "../lib/process.mjs";
import { short, table, versionOf, writeJson } from "../lib/report.mjs";
import { cases, tinyCases } from "./cases.mjs";
import { ensurePeers, pinned } from "./install.mjs";

/** Differences up to this times the largest value (or 1) are rounding: sums of hundreds of f32 products. */
const ROUNDING = 2e-5;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "5" },
    sample: { type: "string", default: "200" },
    libraries: { type: "string", default: "wgrad,jax-js,tfjs" },
    tiny: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const names = options.libraries.split(",");
const only = new RegExp(options.only, "i");
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
let libraries = [];

try {
  ensurePeers();
  libraries = names.map((name) => ({ name, ...start(new URL("worker.mjs", import.meta.url), [name]) }));
  const opened = [];
  for (const library of libraries) opened.push(await library.ask("open"));
  const rows = [];
  for (const each of (options.tiny ? tinyCases : cases).filter(({ name }) => only.test(name)))
    rows.push(...(await runCase(each)));
  print(opened[0].adapter, rows);
  const versions = { wgrad: versionOf(join(root, "packages/tensor")), ...pinned, node: process.version };
  const result = { versions, rounds: Number(options.rounds), rows };
  writeJson(options.json, "peers-ops", opened[0].adapter, result);
} catch (failure) {
  fail(failure);
} finally {
  for (const library of libraries) library.end();
  rmSync(folder, { recursive: true, force: true });
}

/** Writes a case's inputs, has every library compute them once, then measures in rounds. */
async function runCase({ name, op, inputs, modes }) {
  Object.entries(inputs).forEach(([input, shape], i) => {
    const ids = () => integers(count(shape), i + 1, 0, inputs.table[0]);
    writeNumbers(join(folder, `${input}.bin`), input === "ids" ? ids() : normal(count(shape), i + 1));
  });
  for (const library of libraries) await library.ask("prepare", op, inputs, folder);
  const rows = [];
  for (const { mode, target, flops } of modes) {
    const files = [];
    for (const library of libraries) files.push(await library.ask("check", mode, folder));
    const times = [];
    for (const library of libraries) times.push(await library.ask("calibrate", mode, Number(options.sample)));
    const samples = libraries.map(() => []);
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const [i, library] of libraries.entries())
        samples[i].push(await library.ask("measure", mode, times[i]));
    }
    rows.push(summary({ name, mode, target, flops, samples, ...difference(files) }));
    process.stderr.write(`${progress(rows.at(-1))}\n`);
  }
  for (const library of libraries) await library.ask("release");
  return rows;
}

/** Largest difference of any output between the first library and another, and whether all are rounding. */
function difference(files) {
  let [largest, agree, compared] = [0, true, 0];
  for (const [i, file] of files[0].entries()) {
    if (!file) continue;
    const own = readNumbers(join(folder, file));
    for (const other of files.slice(1)) {
      if (!other[i]) continue;
      const found = compare(own, readNumbers(join(folder, other[i])));
      compared++;
      if (!(found.difference <= largest)) largest = found.difference;
      if (!(found.difference <= ROUNDING * Math.max(1, found.largest))) agree = false;
    }
  }
  return { difference: compared > 0 ? largest : null, agree };
}

/** One row of the result: medians, and the target when wgrad was measured beside a peer. */
function summary({ samples, ...row }) {
  const measured = Object.fromEntries(
    samples.map((rounds, i) => {
      const keys = Object.keys(rounds[0]);
      const medians = Object.fromEntries(keys.map((key) => [key, median(rounds.map((round) => round[key]))]));
      return [names[i], { ...medians, cpuRounds: rounds.map(({ cpu }) => +cpu.toFixed(3)) }];
    }),
  );
  const peers = names.filter((name) => name !== "wgrad").map((name) => measured[name].cpu);
  const ratio = measured.wgrad && peers.length > 0 ? measured.wgrad.cpu / Math.min(...peers) : null;
  const gflops = row.flops && measured.wgrad ? row.flops / measured.wgrad.cpu / 1e6 : null;
  return {
    ...row,
    measured,
    ratio,
    gflopPerCpuSecond: gflops,
    met: ratio === null ? null : row.agree && ratio <= row.target,
  };
}

/** One line while the run goes on. */
function progress({ name, mode, measured, agree }) {
  const figures = names.map((library) => `${library} ${short(measured[library].cpu)}`);
  return `${name} ${mode}: ${figures.join(", ")} ms CPU${agree ? "" : ", results differ"}`;
}

function print(adapter, rows) {
  console.log(`${adapter.description}: CPU ms a call (all threads), median of ${options.rounds} rounds\n`);
  const head = ["op", "", ...names, "ratio", "target", "GFLOP/CPU-s", "max diff", "met"];
  const cells = rows.map((row) => [
    row.name,
    row.mode === "both" ? "fwd+bwd" : "fwd",
    ...names.map((name) => short(row.measured[name].cpu)),
    short(row.ratio),
    short(row.target),
    short(row.gflopPerCpuSecond),
    short(row.difference) + (row.agree ? "" : " !"),
    row.met === null ? "-" : row.met ? "yes" : "NO",
  ]);
  console.log(table(head, cells));
}
