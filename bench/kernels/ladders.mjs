// The ladder of each op: every step of it on the shapes of the training step, with GFLOP/s or GB/s, the share of the peak that was
// measured in the same run, which step the engine takes, and which wins.
//
//   node bench/kernels/ladders.mjs [--op softmax,layer_norm] [--shape 1536x128] [--seconds 0.4] [--json file|auto]
//
// --seconds: how long one step of one shape is measured. Steps take turns, sample by sample. On a software adapter all figures are by
// processor time. `wgrad kernels bench` prints the same for one op.
import { parseArgs } from "node:util";
import { benchEntry } from "@wgrad/tensor/lab";
import { fail } from "../../scripts/lib/shell.mjs";
import { cpuTime, entriesOf, figuresOf, openLab, peakLine } from "../lib/lab.mjs";
import { short, table, writeJson } from "../lib/report.mjs";

const { values: options } = parseArgs({
  options: {
    op: { type: "string", default: "" },
    shape: { type: "string" },
    seconds: { type: "string", default: "0.4" },
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
  const groups = Map.groupBy
    ? Map.groupBy(rows, ({ op, shape }) => `${op} ${shape}`)
    : rows.reduce((map, row) => {
        const key = `${row.op} ${row.shape}`;
        return map.set(key, [...(map.get(key) ?? []), row]);
      }, new Map());
  return [...groups].map(([what, group]) => {
    const able = group.filter(({ skipped }) => !skipped);
    const fastest = able.reduce((a, b) => (b.ms < a.ms ? b : a));
    const chosen = able.find((row) => row.chosen);
    return {
      what,
      fastest: fastest.step,
      chosen: chosen?.step ?? null,
      ratio: chosen ? chosen.ms / fastest.ms : null,
    };
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
