// Attention in one kernel a pass beside the same composed of our own matmul, softmax and dropout, forward + backward, in turns in
// one process: processor time, and memory at its peak.
//
//   node bench/kernels/attention-composed.bench.mjs [--case 64] [--reps 7] [--limited] [--json file|auto]
//
// Composed: q·kᵀ, times the scale, masked, softmax, dropout, ·v, each with its own gradient, as one would write it without
// `scaledDotProductAttention`. q, k and v are views of projections [B, T, H, D], as a model hands them over. CPU ms is the processor
// time of the whole process for a call: on a software driver that is the GPU's time too, and it survives a busy machine. The
// median of --reps calls counts, which the two take in turns. Results are compared without dropout, for the two drop different
// weights; times are with what the case names.
import { parseArgs } from "node:util";
import { loadOp } from "../lib/engine.mjs";
import { median, timed } from "../lib/measure.mjs";
import { checkTable, isMet, short, table, writeJson } from "../lib/report.mjs";

const { values: options } = parseArgs({
  options: {
    case: { type: "string", default: "" },
    reps: { type: "string", default: "7" },
    limited: { type: "boolean", default: false },
    json: { type: "string" },
  },
});

const cases = [
  { name: "16x12x64x32, mask, dropout", B: 16, H: 12, T: 64, D: 32, padding: true, dropoutP: 0.1 },
  { name: "16x12x64x64, mask, dropout", B: 16, H: 12, T: 64, D: 64, padding: true, dropoutP: 0.1 },
  { name: "16x12x64x64, mask", B: 16, H: 12, T: 64, D: 64, padding: true, dropoutP: 0 },
  { name: "8x12x128x64, mask, dropout", B: 8, H: 12, T: 128, D: 64, padding: true, dropoutP: 0.1 },
  { name: "2x12x512x32, mask, dropout", B: 2, H: 12, T: 512, D: 32, padding: true, dropoutP: 0.1 },
  { name: "1x12x512x64, mask, dropout", B: 1, H: 12, T: 512, D: 64, padding: true, dropoutP: 0.1 },
];
/** Of the same tokens in all, so that what grows is what is not linear in the length. */
const memoryCases = [256, 512, 1024].map((T) => ({
  B: 1024 / T,
  H: 4,
  T,
  D: 32,
  padding: true,
  dropoutP: 0,
}));

const { openDevice, scope, Tensor, scaledDotProductAttention, dropout } = await loadOp("attention", {
  index: "scaledDotProductAttention",
  "../dropout/index": "dropout",
});
// --limited: as on an adapter with no more than WebGPU guarantees, without subgroups.
const device = await openDevice(options.limited ? { limits: "default", features: [] } : {});

/** Numbers in [-1, 1), the same in every run. */
const numbers = (count, seed) =>
  Float32Array.from({ length: count }, (_, i) => (Math.imul(i + seed, 2654435761) >>> 8) / 2 ** 23 - 1);

function prepare({ B, H, T, D, padding, dropoutP }) {
  const shape = [B, T, H, D];
  const [q, k, v] = [1, 2, 3].map((seed) =>
    Tensor.from(device, numbers(B * T * H * D, seed), shape, { requiresGrad: true }),
  );
  const dy = Tensor.from(device, numbers(B * T * H * D, 4), shape);
  const lengths = Uint8Array.from({ length: B * T }, (_, i) => (i % T < T - 2 * Math.floor(i / T) ? 1 : 0));
  const mask = padding ? Tensor.from(device, lengths, [B, 1, 1, T]) : null;
  const hidden = mask?.eq(0) ?? null;
  const heads = [q, k, v].map((x) => x.transpose(1, 2));
  const ways = {
    fused: (p) => scaledDotProductAttention(...heads, { mask, dropoutP: p }),
    composed: (p) => {
      let scores = heads[0].matmul(heads[1].transpose(2, 3)).mul(1 / Math.sqrt(D));
      if (hidden) scores = scores.maskedFill(hidden, -3.4028234e38);
      const weights = scores.softmax(-1);
      return (p > 0 ? dropout(weights, p) : weights).matmul(heads[2]);
    },
  };
  /** Forward and backward; leaves gradients in the leaves. */
  const run = (way, p) => scope(() => ways[way](p).transpose(1, 2).backward({ gradient: dy }));
  const clear = () => {
    for (const x of [q, k, v]) {
      x.grad?.dispose();
      x.grad = null;
    }
  };
  const free = () => {
    clear();
    for (const x of [...heads, q, k, v, dy, mask, hidden]) x?.dispose();
  };
  const results = async (way) => {
    const y = scope(() => ways[way](0).detach().contiguous());
    run(way, 0);
    const read = [];
    for (const x of [y, q.grad, k.grad, v.grad]) read.push(await x.toArray());
    y.dispose();
    clear();
    return read;
  };
  return { run, clear, free, results, dropoutP };
}

/** Largest difference of two results, relative to the largest value. */
function difference(a, b) {
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    worst = Math.max(worst, Math.abs(a[i] - b[i]));
    largest = Math.max(largest, Math.abs(a[i]));
  }
  return worst / largest;
}

const ways = ["fused", "composed"];
const rows = [];
const checks = [];
for (const shape of cases.filter(({ name }) => name.includes(options.case))) {
  const work = prepare(shape);
  const both = [await work.results("fused"), await work.results("composed")];
  const worst = Math.max(...both[0].map((x, i) => difference(x, both[1][i])));
  const samples = { fused: [], composed: [] };
  for (let rep = -2; rep < Number(options.reps); rep++) {
    for (const way of ways) {
      const { cpu } = await timed(async () => {
        work.run(way, work.dropoutP);
        await device.synchronize();
      });
      work.clear();
      if (rep >= 0) samples[way].push(cpu);
    }
  }
  work.free();
  const [fused, composed] = ways.map((way) => median(samples[way]));
  rows.push({
    case: shape.name,
    fusedMs: fused,
    composedMs: composed,
    ratio: fused / composed,
    difference: worst,
  });
  checks.push({ what: `${shape.name}: of the composed CPU time`, found: fused / composed, atMost: 1 / 3 });
  checks.push({ what: `${shape.name}: largest difference`, found: worst, atMost: 1e-4 });
}

const memory = [];
for (const shape of options.case ? [] : memoryCases) {
  const bytes = {};
  for (const way of ways) {
    const work = prepare(shape);
    work.run(way, 0);
    work.clear();
    const before = device.memory().liveBytes;
    device.pool.resetPeak();
    work.run(way, 0);
    bytes[way] = device.memory().peakLiveBytes - before;
    await device.synchronize();
    work.free();
  }
  memory.push({ tokens: shape.T, batch: shape.B, ...bytes });
}
if (memory.length > 0) {
  const grown = memory.at(-1).fused / memory[0].fused;
  checks.push({ what: "memory of 1,024 tokens in 1 row, of that in 4 rows", found: grown, atMost: 1.1 });
}

console.log(device.description);
const cells = rows.map((r) => [
  r.case,
  short(r.fusedMs),
  short(r.composedMs),
  short(r.ratio),
  short(r.difference),
]);
console.log(table(["forward + backward", "fused CPU ms", "composed CPU ms", "ratio", "difference"], cells));
const mib = (bytes) => short(bytes / 2 ** 20);
const sizes = memory.map((m) => [`${m.batch} x ${m.tokens}`, mib(m.fused), mib(m.composed)]);
console.log(`\n${table(["rows x tokens", "fused MiB", "composed MiB"], sizes)}`);
console.log(`\n${checkTable(checks)}`);
writeJson(options.json, options.limited ? "attention-composed-limited" : "attention-composed", device.info, {
  rows,
  memory,
  checks,
});
device.close();
if (!checks.every(isMet)) process.exitCode = 1;
