// How good the tuner's choices are: it measures each shape class for a moment; then every shape of the benchmarks is measured at
// length, and the step it gets from the tuning is compared with the fastest one. Beside it the choice of the ladders' rules.
//
//   node bench/kernels/tuner.mjs [--op matmul,softmax] [--tune-seconds 120] [--seconds 0.5] [--all]
//                               [--json file|auto]
//
// Without --all, shapes that would take a slow adapter minutes are left out.
import { parseArgs } from "node:util";
import { benchEntry, loadTuning, tune } from "@wgrad/tensor/lab";
import { fail } from "../../scripts/lib/shell.mjs";
import { costOf, cpuTime, entriesOf, openLab, tooLong } from "../lib/lab.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";

/** Steps that the tuner found this much slower than the best of their class are not measured again. */
const FAR = 1.6;

const { values: options } = parseArgs({
  options: {
    op: { type: "string", default: "" },
    "tune-seconds": { type: "string", default: "120" },
    seconds: { type: "string", default: "0.5" },
    all: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

try {
  const { device, adapter, peaks } = await openLab();
  const measurable = (entry) => (shape) => options.all || !tooLong(entry.workload(shape), peaks);
  const entries = entriesOf(options.op).map((entry) => ({
    ...entry,
    benchShapes: entry.benchShapes.filter(measurable(entry)),
  }));
  const start = performance.now();
  const tuning = await tune(device, entries, { seconds: Number(options["tune-seconds"]), cpuTime });
  const tuneSeconds = (performance.now() - start) / 1000;
  const rows = [];
  for (const entry of entries) {
    const { ladder } = entry;
    for (const shape of entry.benchShapes) {
      const { problem } = entry.workload(shape);
      const choice = tuning.choices.find(
        ({ op, shapeClass }) => op === ladder.op && shapeClass === ladder.shapeClass(problem),
      );
      if (!choice) continue;
      const best = Math.min(...Object.values(choice.seconds));
      const steps = Object.keys(choice.seconds).filter((name) => choice.seconds[name] <= FAR * best);
      const rule = ladder.rule(device, problem).step;
      if (!steps.includes(rule)) steps.push(rule);
      const measured = await benchEntry(device, entry, {
        steps,
        shapes: [shape],
        seconds: Number(options.seconds),
        cpuTime,
      });
      const costs = Object.fromEntries(
        measured.filter(({ skipped }) => !skipped).map((row) => [row.step, 1000 * costOf(row)]),
      );
      const fastest = Object.keys(costs).reduce((a, b) => (costs[b] < costs[a] ? b : a));
      rows.push({
        op: ladder.op,
        shape,
        tuned: choice.step,
        rule,
        fastest,
        ms: costs,
        tunedOver: costs[choice.step] / costs[fastest],
        ruleOver: costs[rule] / costs[fastest],
      });
      const { tunedOver } = rows.at(-1);
      process.stderr.write(`${ladder.op} ${shape}: ${choice.step}, ${short(tunedOver)} of the fastest\n`);
    }
  }
  loadTuning(device, tuning);
  const worst = Math.max(...rows.map(({ tunedOver }) => tunedOver));
  const checks = [
    { what: "tuned choice over the fastest, worst shape", found: worst, atMost: 1.05 },
    {
      what: "shapes whose choice is not within 5 %",
      found: rows.filter(({ tunedOver }) => tunedOver > 1.05).length,
      atMost: 0,
    },
  ];
  console.log(`${device.description}: the tuner's choices, tuned in ${short(tuneSeconds)} s\n`);
  const cells = rows.map((row) => [
    `${row.op} ${row.shape}`,
    row.tuned,
    row.fastest,
    short(row.ms[row.tuned]),
    short(row.ms[row.fastest]),
    row.tunedOver.toFixed(3),
    row.rule,
    row.ruleOver.toFixed(3),
  ]);
  const head = ["shape", "tuned", "fastest", "tuned ms", "fastest ms", "ratio", "rule", "rule's ratio"];
  console.log(`${table(head, cells)}\n\n${checkTable(checks)}`);
  writeJson(options.json, "tuner", adapter, { tuneSeconds, rows, checks, tuning });
  device.close();
} catch (failure) {
  fail(failure);
}
