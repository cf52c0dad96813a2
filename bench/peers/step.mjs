// One training step (forward, loss, backward, AdamW) of a 6-layer, 384-wide, 12-head DistilBERT classifier on 16 x 64 tokens:
// wgrad beside jax-js and TensorFlow.js on the same adapter, from the same random weights, in interleaved rounds.
//
//   node bench/peers/step.mjs [--warmup 1] [--steps 2] [--libraries wgrad,jax-js,tfjs] [--size mini|tiny] [--dry]
//
// Each library has a process of its own; only one works at a time. wgrad takes 3 steps to warm up, the others --warmup.
// CPU is the processor time of all threads until the GPU has done the step: on a software driver that is the GPU's time.
// --dry: write no result file.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fail, root } from "../../scripts/lib/shell.mjs";
import { median } from "../lib/measure.mjs";
import { start } from "../lib/process.mjs";
import { short, table, versionOf, writeResult } from "../lib/report.mjs";
import { writeStepData } from "../lib/step-data.mjs";
import { ensurePeers, pinned } from "./install.mjs";

/** Losses of the first steps agree to this. */
const TOLERANCE = 1e-4;
/** Steps after which wgrad makes no buffer any more. */
const WGRAD_WARMUP = 3;

const { values: options } = parseArgs({
  options: {
    warmup: { type: "string", default: "1" },
    steps: { type: "string", default: "2" },
    libraries: { type: "string", default: "wgrad,jax-js,tfjs" },
    size: { type: "string", default: "mini" },
    dry: { type: "boolean", default: false },
  },
});
const names = options.libraries.split(",");
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
let libraries = [];

try {
  ensurePeers();
  writeStepData(folder, options.size);
  libraries = names.map((name) => ({ name, ...start(new URL("step-worker.mjs", import.meta.url), [name]) }));
  const opened = [];
  for (const library of libraries) opened.push(await library.ask("open", folder, options.size));
  const { adapter } = opened[0];
  const losses = [];
  for (const library of libraries) losses.push(await warmUp(library));
  const samples = libraries.map(() => []);
  for (let round = 0; round < Number(options.steps); round++) {
    for (const [i, library] of libraries.entries()) samples[i].push(await library.ask("step"));
  }
  const measured = [];
  for (const [i, library] of libraries.entries())
    measured.push(await summary(library, losses[i], samples[i]));
  const checks = targets(measured);
  print(adapter, measured, checks);
  const versions = { wgrad: versionOf(join(root, "packages/tensor")), ...pinned, node: process.version };
  if (!options.dry && options.size === "mini")
    console.log(`\nwritten: ${writeResult("peers-step", adapter, { versions, measured, checks })}`);
} catch (failure) {
  fail(failure);
} finally {
  for (const library of libraries) library.end();
  rmSync(folder, { recursive: true, force: true });
}

/** The steps that compile and fill pools; their losses. */
async function warmUp(library) {
  const steps = library.name === "wgrad" ? WGRAD_WARMUP : Number(options.warmup);
  const losses = [];
  for (let i = 0; i < steps; i++) {
    const { cpu, wall, loss } = await library.ask("step");
    process.stderr.write(`${library.name}: warm-up step ${i + 1}, ${short(cpu)} ms CPU, ${short(wall)} ms\n`);
    losses.push(loss);
  }
  return losses;
}

/** Medians of the timed steps, the most calls of any, losses of all steps, memory. */
async function summary(library, warmUpLosses, samples) {
  const middle = (key) => median(samples.map((sample) => sample[key]));
  const most = (key) => Math.max(...samples.map((sample) => sample[key]));
  return {
    name: library.name,
    cpuMs: middle("cpu"),
    wallMs: middle("wall"),
    dispatches: most("dispatches"),
    submissions: most("submissions"),
    buffers: most("buffers"),
    bindGroups: most("bindGroups"),
    peakMiB: await library.ask("memory"),
    losses: [...warmUpLosses, ...samples.map(({ loss }) => loss)],
    cpuRounds: samples.map(({ cpu }) => +cpu.toFixed(1)),
  };
}

/** What is asked of wgrad, and whether it holds; nothing without wgrad, no comparison without a peer. */
function targets(measured) {
  const own = measured.find(({ name }) => name === "wgrad");
  if (!own) return [];
  const checks = [
    { what: "submissions a step", found: own.submissions, atMost: 1 },
    { what: "dispatches a step", found: own.dispatches, atMost: 400 },
    { what: "buffers made after the third step", found: own.buffers, atMost: 0 },
  ];
  const jax = measured.find(({ name }) => name === "jax-js");
  if (jax) checks.unshift({ what: "CPU time over jax-js'", found: own.cpuMs / jax.cpuMs, atMost: 1 / 3 });
  for (const { name, losses } of measured) {
    if (name === "wgrad") continue;
    const pairs = losses.slice(0, own.losses.length).map((loss, i) => Math.abs(loss - own.losses[i]));
    checks.push({ what: `losses' difference from ${name}`, found: Math.max(...pairs), atMost: TOLERANCE });
  }
  return checks.map((check) => ({ ...check, met: check.found <= check.atMost }));
}

function print(adapter, measured, checks) {
  console.log(`${adapter.description}: one training step, DistilBERT ${options.size}\n`);
  const head = ["", ...measured.map(({ name }) => name)];
  const row = (title, value) => [title, ...measured.map(value)];
  const rows = [
    row("CPU ms", ({ cpuMs }) => short(cpuMs)),
    row("wall ms", ({ wallMs }) => short(wallMs)),
    ...["dispatches", "submissions", "buffers", "bindGroups", "peakMiB"].map((key) =>
      row(key, (m) => m[key]),
    ),
  ];
  const steps = Math.max(...measured.map(({ losses }) => losses.length));
  for (let i = 0; i < steps; i++)
    rows.push(row(`loss ${i + 1}`, ({ losses }) => losses[i]?.toFixed(6) ?? ""));
  console.log(`${table(head, rows)}\n`);
  const cells = checks.map(({ what, found, atMost, met }) => [
    what,
    short(found),
    short(atMost),
    met ? "yes" : "NO",
  ]);
  console.log(table(["wgrad", "found", "at most", "met"], cells));
}
