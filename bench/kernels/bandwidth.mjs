// The operations that memory bounds, with the step that the engine takes: how much of the copy bandwidth that is measured in the same
// run they reach. Bytes are those that must be read and written at least.
//
//   node bench/kernels/bandwidth.mjs [--seconds 1] [--json file|auto]
import { parseArgs } from "node:util";
import { benchEntry } from "@wgrad/tensor/lab";
import { fail } from "../../scripts/lib/shell.mjs";
import { cpuTime, entriesOf, figuresOf, openLab, peakLine, peaksOf } from "../lib/lab.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";

const OPS =
  "layer_norm,layer_norm.backward,layer_norm.columns,softmax,softmax.backward,gelu,gelu.backward,adamw";

const { values: options } = parseArgs({
  options: {
    op: { type: "string", default: OPS },
    shape: { type: "string" },
    seconds: { type: "string", default: "1" },
    json: { type: "string" },
  },
});

try {
  const { device, adapter, peaks } = await openLab();
  const rows = [];
  for (const entry of entriesOf(options.op)) {
    for (const shape of options.shape ? [options.shape] : entry.benchShapes) {
      const { step } = entry.ladder.rule(device, entry.workload(shape).problem);
      const [row] = await benchEntry(device, entry, {
        steps: [step],
        shapes: [shape],
        seconds: Number(options.seconds),
        peaks: peaks.measured,
        cpuTime,
      });
      rows.push(figuresOf(row, entry, peaks.clock));
    }
  }
  // Measured again at the end: the better one counts, so that a busy moment at the beginning flatters nobody.
  const after = await peaksOf(device);
  const copy = Math.max(peaks.bytes, after.bytes) / 1e9;
  for (const row of rows) {
    if (row.unit === "GB") row.share = row.rate / copy;
  }
  const checks = rows.map(({ op, shape, share }) => ({
    what: `${op} ${shape}, of the copy bandwidth`,
    found: share,
    atLeast: 0.5,
  }));
  console.log(`${device.description}\n${peakLine({ ...peaks, bytes: 1e9 * copy })}\n`);
  const cells = rows.map((row) => [
    `${row.op} ${row.shape}`,
    row.step,
    short(row.ms),
    short(row.rate),
    `${(100 * row.share).toFixed(0)} %`,
  ]);
  console.log(`${table(["", "step", "ms", "GB/s", "of copy"], cells)}\n\n${checkTable(checks)}`);
  writeJson(options.json, "bandwidth", adapter, { peaks: [peaks, after], copy, rows, checks });
  device.close();
} catch (failure) {
  fail(failure);
}
