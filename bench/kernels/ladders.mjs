// The ladder of each op: every step of it on the shapes of the training step, with GFLOP/s or GB/s, the share of the peak that was
// measured in the same run, which step the engine takes, and which wins.
//
//   node bench/kernels/ladders.mjs [--op softmax,layer_norm] [--shape 1536x128] [--seconds 0.4] [--all] [--json file|auto]
//
// Without --all, shapes that would take a slow adapter minutes are left out: over 0.1 s of arithmetic or 1 s of copying at its peaks,
// where the plain steps take some fifty times as long.
// --seconds: how long one step of one shape is measured. Steps take turns, sample by sample. On a software adapter all figures are by
// processor time. `wgrad kernels bench` prints the same for one op.
import { parseArgs } from "node:util";
import { benchEntry } from "@wgrad/tensor/lab";
import { fail } from "../../scripts/lib/shell.mjs";
import { cpuTime, entriesOf, figuresOf, openLab, peakLine, tooLong } from "../lib/lab.mjs";
import { short, table, writeJson } from "../lib/report.mjs";

const { values: options } = parseArgs({
  options: {
    op: { type: "string", default: "" },
    shape: { type: "string" },
    seconds: { type: "string", default: "0.4" },
    all: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

try {
  const { device, adapter, peaks } = await openLab();
  console.log(`${device.description}\n${peakLine(peaks)}`);
  const rows = [];
  for (const entry of entriesOf(options.op)) {
    console.log(`\n${entry.ladder.op}: ${entry.summary}`);
    for (const shape of options.shape ? [options.shape] : entry.benchShapes) {
      if (!options.all && !options.shape && tooLong(entry.workload(shape), peaks)) {
        console.log(`\n${shape}: left out, too long for this adapter`);
        continue;
      }
      const measured = await benchEntry(device, entry, {
        shapes: [shape],
        seconds: Number(options.seconds),
        peaks: peaks.measured,
        cpuTime,
      });
      const figures = measured.map((row) => figuresOf(row, entry, peaks.clock));
      rows.push(...figures);
      print(shape, figures);
    }
  }
  writeJson(options.json, "ladders", adapter, { peaks, winners: winners(rows), rows });
  device.close();
} catch (failure) {
  fail(failure);
}

/** Which step is fastest on each shape, and how much slower the engine's own choice is. */
function winners(rows) {
  const measured = rows.filter(({ skipped }) => !skipped);
  const whats = [...new Set(measured.map(({ op, shape }) => `${op} ${shape}`))];
  return whats.map((what) => {
    const able = measured.filter(({ op, shape }) => `${op} ${shape}` === what);
    const fastest = able.reduce((a, b) => (b.ms < a.ms ? b : a));
    const chosen = able.find((row) => row.chosen);
    const ratio = chosen ? chosen.ms / fastest.ms : null;
    return { what, fastest: fastest.step, chosen: chosen?.step ?? null, ratio };
  });
}

function print(shape, figures) {
  const able = figures.filter(({ skipped }) => !skipped);
  const least = Math.min(...able.map(({ ms }) => ms));
  const cells = figures.map((row) =>
    row.skipped
      ? [row.step, "-", "-", "-", "-", row.why]
      : [
          row.step,
          short(row.ms),
          `${short(row.quartilesMs[0])}..${short(row.quartilesMs[1])}`,
          `${short(row.rate)} ${row.unit}/s`,
          row.share === null ? "-" : `${(100 * row.share).toFixed(0)} %`,
          [row.ms === least ? "fastest" : "", row.chosen ? `chosen: ${row.why}` : ""]
            .filter(Boolean)
            .join(", "),
        ],
  );
  console.log(`\n${table([shape, "ms", "quartiles", "rate", "of peak", ""], cells)}`);
}
