// One training step (forward, loss, backward, AdamW) of a 6-layer, 384-wide, 12-head DistilBERT classifier on 16 x 64 tokens:
// wgrad, captured and eager, beside jax-js and TensorFlow.js on the same adapter, from the same random weights, in interleaved
// rounds, and wgrad's share of the arithmetic peak of the adapter, measured in the same run.
//
//   node bench/peers/step.mjs [--warmup 1] [--steps 2] [--libraries wgrad,wgrad-eager,jax-js,tfjs] [--size mini|base|tiny]
//                             [--json file|auto]
//
// Each library has a process of its own; only one works at a time. wgrad takes 3 steps to warm up, the others --warmup.
// CPU is the processor time of all threads until the GPU has done the step: on a software driver that is the GPU's time, and work
// is per CPU-second; on a GPU it is per second. `--size base --libraries wgrad` is DistilBERT-base, 768 wide.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fail, root } from "../../scripts/lib/shell.mjs";
import { median } from "../lib/measure.mjs";
import { start } from "../lib/process.mjs";
import { checkTable, short, table, versionOf, writeJson } from "../lib/report.mjs";
import { FLOP_FORMULA, models, stepFlop, writeStepData } from "../lib/step-data.mjs";
import { ensurePeers, pinned } from "./install.mjs";

/** Losses of the first steps agree to this. */
const TOLERANCE = 1e-4;
/** Steps after which wgrad makes no buffer any more. */
const WGRAD_WARMUP = 3;

const { values: options } = parseArgs({
  options: {
    warmup: { type: "string", default: "1" },
    steps: { type: "string", default: "2" },
    libraries: { type: "string", default: "wgrad,wgrad-eager,jax-js,tfjs" },
    size: { type: "string", default: "mini" },
    json: { type: "string" },
  },
});
const names = options.libraries.split(",");
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
let libraries = [];

try {
  if (names.some((name) => !name.startsWith("wgrad"))) ensurePeers();
  writeStepData(folder, options.size);
  libraries = names.map((name) => ({ name, ...start(new URL("step-worker.mjs", import.meta.url), [name]) }));
  const opened = [];
  for (const library of libraries) opened.push(await library.ask("open", folder, options.size));
  const { adapter } = opened[0];
  const losses = [];
  for (const library of libraries) losses.push(await warmUp(library));
  const samples = libraries.map(() => []);
  const wgrad = libraries.find(({ name }) => name.startsWith("wgrad"));
  // Before and after: the share is of the better of the two, so that a busy moment does not flatter it.
  const peaks = wgrad ? [await wgrad.ask("peaks")] : [];
  for (let round = 0; round < Number(options.steps); round++) {
    for (const [i, library] of libraries.entries()) samples[i].push(await library.ask("step"));
  }
  if (wgrad) peaks.push(await wgrad.ask("peaks"));
  const peak = wgrad ? peaks.reduce((a, b) => (b.flops > a.flops ? b : a)) : null;
  const measured = [];
  for (const [i, library] of libraries.entries())
    measured.push(await summary(library, losses[i], samples[i]));
  const flop = stepFlop(models[options.size]);
  for (const each of measured) {
    const seconds = (peak?.clock === "cpu" ? each.cpuMs : each.wallMs) / 1000;
    each.gflops = flop / seconds / 1e9;
    each.shareOfPeak = peak ? flop / seconds / peak.flops : null;
  }
  const checks = targets(measured);
  print(adapter, measured, checks, flop, peak);
  const versions = { wgrad: versionOf(join(root, "packages/tensor")), ...pinned, node: process.version };
  const name = options.size === "mini" ? "peers-step" : `step-${options.size}`;
  const work = { size: options.size, ...models[options.size], flop, formula: FLOP_FORMULA, peak };
  writeJson(options.json, name, adapter, { versions, work, measured, checks });
} catch (failure) {
  fail(failure);
} finally {
  for (const library of libraries) library.end();
  rmSync(folder, { recursive: true, force: true });
}

/** The steps that compile and fill pools; their losses. */
async function warmUp(library) {
  const steps = library.name.startsWith("wgrad") ? WGRAD_WARMUP : Number(options.warmup);
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

/** What is asked of wgrad; no comparison without a peer. */
function targets(measured) {
  const own = measured.find(({ name }) => name === "wgrad");
  if (!own) return [];
  const jax = measured.find(({ name }) => name === "jax-js");
  const checks = [
    ...(jax ? [{ what: "CPU time over jax-js'", found: own.cpuMs / jax.cpuMs, atMost: 1 / 4 }] : []),
    { what: "share of the arithmetic peak", found: own.shareOfPeak, atLeast: 0.25 },
    { what: "dispatches a step", found: own.dispatches, atMost: 250 },
    { what: "submissions a step", found: own.submissions, atMost: 1 },
    { what: "buffers made after the third step", found: own.buffers, atMost: 0 },
    { what: "bind groups made after the third step", found: own.bindGroups, atMost: 0 },
  ];
  for (const { name, losses } of measured) {
    if (name === "wgrad") continue;
    const pairs = losses.slice(0, own.losses.length).map((loss, i) => Math.abs(loss - own.losses[i]));
    const atMost = name === "wgrad-eager" ? 0 : TOLERANCE;
    checks.push({ what: `losses' difference from ${name}`, found: Math.max(...pairs), atMost });
  }
  return checks;
}

function print(adapter, measured, checks, flop, peak) {
  console.log(`${adapter.description}: one training step, DistilBERT ${options.size}`);
  console.log(`${short(flop / 1e9)} GFLOP a step = ${FLOP_FORMULA}`);
  if (peak) {
    const unit = peak.clock === "cpu" ? "CPU-second" : "second";
    console.log(`arithmetic peak measured in this run: ${short(peak.flops / 1e9)} GFLOP per ${unit}`);
  }
  const head = ["", ...measured.map(({ name }) => name)];
  const row = (title, value) => [title, ...measured.map(value)];
  const rows = [
    row("CPU ms", ({ cpuMs }) => short(cpuMs)),
    row("wall ms", ({ wallMs }) => short(wallMs)),
    row(peak?.clock === "cpu" ? "GFLOP/CPU-s" : "GFLOP/s", ({ gflops }) => short(gflops)),
    row("share of peak", ({ shareOfPeak }) =>
      shareOfPeak === null ? "-" : `${(100 * shareOfPeak).toFixed(0)} %`,
    ),
    ...["dispatches", "submissions", "buffers", "bindGroups", "peakMiB"].map((key) =>
      row(key, (m) => m[key]),
    ),
  ];
  const steps = Math.max(...measured.map(({ losses }) => losses.length));
  for (let i = 0; i < steps; i++)
    rows.push(row(`loss ${i + 1}`, ({ losses }) => losses[i]?.toFixed(6) ?? ""));
  console.log(`\n${table(head, rows)}\n\n${checkTable(checks)}`);
}
