// Matmul on every shape of the training step, forward and both gradients, with the step of the ladder that the engine takes: the
// share of the arithmetic peak measured in the same run, and each layout beside the same product untransposed.
//
//   node bench/kernels/step-shapes.mjs [--dim 384] [--rows 1024] [--batch 16] [--dtype f32|f16] [--seconds 0.6] [--json file|auto]
//
// A linear layer y = x W', W [out, in], has three products: forward x W' (nt), dx = dy W (nn) and dW = dy' x (tn), each with what the
// model has it do at its end: bias, GELU, a gradient that is added, GELU's derivative, the sums that are the bias' gradient.
import { parseArgs } from "node:util";
import { benchEntry } from "@wgrad/tensor/lab";
import { fail } from "../../scripts/lib/shell.mjs";
import { costOf, cpuTime, entriesOf, openLab, peakLine, peaksOf } from "../lib/lab.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";

const { values: options } = parseArgs({
  options: {
    dim: { type: "string", default: "384" },
    rows: { type: "string", default: "1024" },
    batch: { type: "string", default: "16" },
    dtype: { type: "string", default: "f32" },
    seconds: { type: "string", default: "0.6" },
    json: { type: "string" },
  },
});
const [dim, rows, batch] = [options.dim, options.rows, options.batch].map(Number);

/** Linear layers of a step: name, rows, in, out, what forward and dx end with, and how many there are. */
const layers = [
  { name: "q, k, v, out", rows, from: dim, to: dim, ends: ["bias", "addend"], times: 24 },
  { name: "lin1", rows, from: dim, to: 4 * dim, ends: ["bias,gelu", "addend"], times: 6 },
  { name: "lin2", rows, from: 4 * dim, to: dim, ends: ["bias", "slope=gelu"], times: 6 },
  { name: "pre_classifier", rows: batch, from: dim, to: dim, ends: ["bias", ""], times: 1, head: true },
  { name: "classifier", rows: batch, from: dim, to: 2, ends: ["bias", ""], times: 1, head: true },
];

/** The three products of each: M x K x N, the layout of the factors and what it ends with. */
const products = layers.flatMap(({ name, rows, from, to, ends, ...rest }) => [
  { name: `${name}, forward`, m: rows, k: from, n: to, layout: "nt", end: ends[0], ...rest },
  { name: `${name}, dx`, m: rows, k: to, n: from, layout: "nn", end: ends[1], ...rest },
  { name: `${name}, dW`, m: to, k: rows, n: from, layout: "tn", end: "sums", ...rest },
]);

try {
  const { device, adapter, peaks } = await openLab();
  const [entry] = entriesOf("matmul");
  const measured = [];
  for (const product of products) {
    const size = `${product.m}x${product.k}x${product.n}`;
    const half = options.dtype === "f16" ? "f16" : "";
    const shapes = {
      own: [size, product.layout, half, product.end],
      plain: [size, product.layout, half],
      untransposed: [size, "nn", half],
    };
    const costs = {};
    for (const [which, parts] of Object.entries(shapes)) {
      const shape = parts.filter(Boolean).join(",");
      const { step } = entry.ladder.rule(device, entry.workload(shape).problem);
      const [row] = await benchEntry(device, entry, {
        steps: [step],
        shapes: [shape],
        seconds: Number(options.seconds),
        cpuTime,
      });
      costs[which] = { shape, step, seconds: costOf(row) };
    }
    const { own, plain, untransposed } = costs;
    const flop = 2 * product.m * product.k * product.n;
    measured.push({
      ...product,
      shape: own.shape,
      step: own.step,
      ms: 1000 * own.seconds,
      flop,
      gflops: flop / own.seconds / 1e9,
      ofUntransposed: untransposed.seconds / plain.seconds,
    });
    process.stderr.write(`${product.name}: ${short(measured.at(-1).gflops)} GFLOP\n`);
  }
  // Measured again at the end: the better one counts, so that a busy moment at the beginning flatters nobody.
  const after = await peaksOf(device);
  const key = options.dtype === "f16" ? "f16Flops" : "flops";
  const peak = Math.max(peaks[key], after[key]);
  for (const product of measured) product.shareOfPeak = (product.gflops * 1e9) / peak;
  const sum = (list, of) => list.reduce((total, each) => total + each.times * of(each), 0);
  const whole = sum(measured, ({ flop }) => flop) / (sum(measured, ({ ms }) => ms) / 1000);
  const large = measured.filter(({ head }) => !head);
  const least = (of) => Math.min(...large.map(of));
  const checks = [
    { what: "all products of a step together, of the peak", found: whole / peak, atLeast: 0.27 },
    {
      what: "the slowest of the layers' shapes, of the peak",
      found: least((p) => p.shareOfPeak),
      atLeast: 0.27,
    },
    {
      what: "the slowest transposed shape, of the same untransposed",
      found: least((p) => p.ofUntransposed),
      atLeast: 0.8,
    },
  ];
  const headShare =
    sum(
      measured.filter(({ head }) => head),
      ({ flop }) => flop,
    ) / sum(measured, ({ flop }) => flop);
  console.log(`${device.description}\n${peakLine({ ...peaks, [key]: peak })}\n`);
  const head = ["product", "shape", "step", "ms", "GFLOP/s", "of peak", "of untransposed", "times"];
  const cells = measured.map((p) => [
    p.name,
    p.shape,
    p.step,
    short(p.ms),
    short(p.gflops),
    `${(100 * p.shareOfPeak).toFixed(0)} %`,
    `${(100 * p.ofUntransposed).toFixed(0)} %`,
    p.times,
  ]);
  console.log(table(head, cells));
  console.log(
    `\n${short(whole / 1e9)} GFLOP a second over all; the head (pre_classifier, classifier) is ${(100 * headShare).toFixed(2)} % of the work ` +
      "and counts in that figure alone.\n",
  );
  console.log(checkTable(checks));
  const work = { dim, rows, batch, dtype: options.dtype };
  writeJson(options.json, options.dtype === "f32" ? "step-shapes" : "step-shapes-f16", adapter, {
    work,
    peaks: [peaks, after],
    overall: whole / 1e9,
    measured,
    checks,
  });
  device.close();
} catch (failure) {
  fail(failure);
}
