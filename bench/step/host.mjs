// Processor time that the host spends on one training step: on Dawn's null backend, which validates and records everything and
// computes nothing, so that all that is left is JavaScript, Dawn and the driver's interface.
//
//   node bench/step/host.mjs [--steps 100] [--json file|auto]
//
// The null backend offers 512 MiB, so that the model is the 6-layer DistilBERT at a width of 48: the graph, and so the dispatches,
// are the ones of the wide model. Replayed steps come first, then eager ones, whose garbage they would else collect. Same-shaped steps measured there: jax-js 128 ms,
// TorchLette 203 ms, TensorFlow.js 267 ms.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { globals } from "webgpu";
import { fail } from "../../scripts/lib/shell.mjs";
import { countCalls, cpuMs, median, since } from "../lib/measure.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { readStepData, writeStepData } from "../lib/step-data.mjs";
import { open } from "./wgrad.mjs";

/** Steps of one block, whose mean is one sample: processor time is counted in steps of some tenths of a millisecond. */
const BLOCK = 10;
const WARM_UP = 5;

const { values: options } = parseArgs({
  options: {
    steps: { type: "string", default: "100" },
    size: { type: "string", default: "narrow" },
    json: { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
const counts = countCalls(globals);

try {
  writeStepData(folder, options.size);
  const data = readStepData(folder, options.size);
  const ways = [];
  for (const name of ["replayed", "eager"]) {
    const api = await open(data, { captured: name === "replayed", dawnFlags: ["backend=null"] });
    for (let i = 0; i < WARM_UP; i++) api.step();
    await api.synchronize();
    ways.push({ name, api, samples: [], calls: null });
  }
  for (const way of ways) {
    for (let done = 0; done < Number(options.steps); done += BLOCK) {
      const before = counts();
      const start = cpuMs();
      for (let i = 0; i < BLOCK; i++) way.api.step();
      way.samples.push((cpuMs() - start) / BLOCK);
      const made = Object.entries(since(before, counts())).map(([what, n]) => [what, n / BLOCK]);
      way.calls = Object.fromEntries(made);
      await way.api.synchronize();
    }
  }
  const { adapter } = ways[0].api;
  const measured = ways.map(({ name, samples, calls }) => ({
    name,
    cpuMs: median(samples),
    least: Math.min(...samples),
    most: Math.max(...samples),
    ...calls,
  }));
  const replayed = measured.find(({ name }) => name === "replayed");
  const checks = [{ what: "CPU ms a replayed step", found: replayed.cpuMs, atMost: 3 }];
  print(adapter, measured, checks);
  const result = { steps: Number(options.steps), measured, checks };
  writeJson(options.json, "host", adapter, result);
  for (const { api } of ways) api.device.close();
} catch (failure) {
  fail(failure);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function print(adapter, measured, checks) {
  console.log(
    `${adapter.description || adapter.device}: host time of one step, DistilBERT ${options.size}\n`,
  );
  const head = ["", "CPU ms", "least", "most", "dispatches", "submissions", "buffers", "bind groups"];
  const rows = measured.map((m) => [
    m.name,
    short(m.cpuMs),
    short(m.least),
    short(m.most),
    ...["dispatches", "submissions", "buffers", "bindGroups"].map((key) => m[key]),
  ]);
  console.log(`${table(head, rows)}\n`);
  console.log(checkTable(checks));
}
