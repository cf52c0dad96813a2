// What the benchmarks of single kernels share: a device, the engine's lab, the clock that counts, and the peaks of the same run.
import { entries, entryOf, measurePeaks } from "@wgrad/tensor/lab";
import { openDevice } from "@wgrad/tensor/node";
import { short } from "./report.mjs";

/** Seconds of processor time of this process, all threads. */
export function cpuTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/**
 * Peaks of the adapter, measured now. `clock` tells which second is meant: of the processor on a software adapter, where it does the
 * GPU's work and other programs do not disturb it, else of time.
 */
export async function peaksOf(device) {
  const peaks = await measurePeaks(device, { cpuTime });
  const clock = peaks.f32.perCpuSecond === null ? "wall" : "cpu";
  const rate = (peak) => peak && (clock === "cpu" ? peak.perCpuSecond : peak.perSecond);
  return {
    clock,
    flops: rate(peaks.f32),
    f16Flops: rate(peaks.f16),
    bytes: rate(peaks.copy),
    measured: peaks,
  };
}

/** Opens a device and measures its peaks. */
export async function openLab() {
  const device = await openDevice();
  const { vendor, architecture, device: name, description } = device.info;
  const adapter = { vendor, architecture, device: name, description };
  return { device, adapter, peaks: await peaksOf(device) };
}

/** The entries whose ops these are (separated by commas); all without a name. @throws ValueError for a name that no entry has */
export function entriesOf(ops) {
  return ops ? ops.split(",").map((op) => entryOf(entries, op)) : entries;
}

/** Whether a plain step would take this adapter minutes: over 0.1 s of arithmetic, or 1 s of copying, at its peaks. */
export const tooLong = ({ flop, bytes }, peaks) => flop > 0.1 * peaks.flops || bytes > peaks.bytes;

/** Seconds of one call of a row of the lab's bench: its median, by the clock that counts. */
export const costOf = (row) => (row.cpuSeconds ?? row.seconds).median;

/** What the peaks are, in a line. */
export function peakLine({ clock, flops, f16Flops, bytes }) {
  const second = clock === "cpu" ? "CPU-second" : "second";
  const half = f16Flops ? `, f16 ${short(f16Flops / 1e9)}` : "";
  return `peaks measured in this run, per ${second}: ${short(flops / 1e9)} GFLOP${half}, copy ${short(bytes / 1e9)} GB`;
}

/** What is written of a row: the rate that its op is judged by, with its unit and its share of the peak. */
export function figuresOf(row, entry, clock) {
  const step = entry.ladder.steps.find(({ name }) => name === row.step);
  const rate = row.flop ?? row.bytes;
  const perSecond = clock === "cpu" ? rate.perCpuSecond : rate.perSecond;
  return {
    op: row.op,
    shape: row.shape,
    step: row.step,
    idea: step?.idea ?? "",
    chosen: row.chosen,
    why: row.why,
    skipped: row.skipped,
    ms: row.skipped ? null : 1000 * costOf(row),
    quartilesMs: row.skipped
      ? null
      : [1000 * (row.cpuSeconds ?? row.seconds).low, 1000 * (row.cpuSeconds ?? row.seconds).high],
    wallMs: row.skipped ? null : 1000 * row.seconds.median,
    samples: row.samples,
    calls: row.calls,
    rate: row.skipped ? null : perSecond / 1e9,
    unit: row.flop ? "GFLOP" : "GB",
    share: row.flop ? row.shareOfArithmetic : row.shareOfCopy,
    timing: row.timing,
  };
}
