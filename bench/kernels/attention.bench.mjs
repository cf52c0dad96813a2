// Attention's ladder on this machine's adapter: every variant over the benchmarks of `cases.ts`: forward, the two parts of
// backward, and both together.
//
//   node bench/kernels/attention.bench.mjs [--variant 3-subgroup] [--case "BERT-base"] [--reps 5] [--json file]
//
// CPU ms is the processor time of the whole process for one call. On a software driver that is the GPU's time, and it
// survives a busy machine; wall ms is printed beside it. The smallest of --reps calls counts. GFLOP count 4 B H L S D for
// forward and three times that for forward + backward, as for the composed form, whatever is computed again.
// `compile` is the CPU time of the first call beyond that of a later one. Results are checked in attention.test.ts, not here.
import { parseArgs } from "node:util";
import { loadOp, writeRows } from "../lib/engine.mjs";
import { cpuMs as cpu } from "../lib/measure.mjs";

const { values: options } = parseArgs({
  options: {
    variant: { type: "string", default: "" },
    case: { type: "string", default: "" },
    reps: { type: "string", default: "5" },
    json: { type: "string" },
  },
});

const { openDevice, scope, Tensor, scaledDotProductAttention, benchmarks, ladder, OP } = await loadOp(
  "attention",
  {
    index: "scaledDotProductAttention",
    cases: "benchmarks",
    variants: "ladder, OP",
  },
);
const device = await openDevice();

/** A leaf [B, T, H, D] with fixed contents: its transposed view is what the layers of a model hand over. */
function leaf(B, T, H, D, seed) {
  const data = Float32Array.from(
    { length: B * T * H * D },
    (_, i) => (Math.imul(i + seed, 2654435761) >>> 8) / 2 ** 23 - 1,
  );
  return Tensor.from(device, data, [B, T, H, D], { requiresGrad: true });
}

/** Smallest CPU and wall milliseconds of `--reps` calls, after one that compiles. */
async function measure(call) {
  const best = { cpu: Number.POSITIVE_INFINITY, wall: Number.POSITIVE_INFINITY, first: 0 };
  for (let i = -1; i < Number(options.reps); i++) {
    const [c, w] = [cpu(), performance.now()];
    scope(call);
    await device.synchronize();
    if (i < 0) best.first = cpu() - c;
    else {
      best.cpu = Math.min(best.cpu, cpu() - c);
      best.wall = Math.min(best.wall, performance.now() - w);
    }
  }
  return best;
}

const rows = [];
for (const { name, B, H, L, S, D, mask, isCausal, dropoutP } of benchmarks.filter((c) =>
  c.name.includes(options.case),
)) {
  const [q, k, v] = [leaf(B, L, H, D, 1), leaf(B, S, H, D, 2), leaf(B, S, H, D, 3)];
  const dy = Tensor.full(device, [B, H, L, D], 1).add(0);
  const lengths = Uint8Array.from({ length: B * S }, (_, i) => (i % S < S - 2 * Math.floor(i / S) ? 1 : 0));
  const padding = mask ? Tensor.from(device, lengths, [B, 1, 1, S]) : null;
  const call = () =>
    scaledDotProductAttention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {
      mask: padding,
      isCausal,
      dropoutP,
    });
  const backward = (...wanted) => {
    for (const x of [q, k, v]) x.requiresGrad_(wanted.includes(x));
    call().backward({ gradient: dy });
    for (const x of wanted) {
      x.grad.dispose();
      x.grad = null;
    }
  };
  const gflop = (4 * B * H * L * S * D) / 1e9;
  for (const variant of ladder) {
    if (variant.refuses(device) || !variant.name.includes(options.variant)) continue;
    device.variants.set(OP, variant.name);
    for (const x of [q, k, v]) x.requiresGrad_(false);
    const forward = await measure(() => void call());
    const toQueries = await measure(() => backward(q));
    const toKeys = await measure(() => backward(k, v));
    const both = await measure(() => backward(q, k, v));
    rows.push({
      case: name,
      variant: variant.name,
      "fwd cpu ms": +forward.cpu.toFixed(1),
      "fwd GFLOP/cpu-s": +(gflop / (forward.cpu / 1e3)).toFixed(2),
      "dq cpu ms": +(toQueries.cpu - forward.cpu).toFixed(1),
      "dkv cpu ms": +(toKeys.cpu - forward.cpu).toFixed(1),
      "fwd+bwd cpu ms": +both.cpu.toFixed(1),
      "fwd+bwd wall ms": +both.wall.toFixed(1),
      "fwd+bwd GFLOP/cpu-s": +((3 * gflop) / (both.cpu / 1e3)).toFixed(2),
      "compile cpu ms": Math.round(
        forward.first - forward.cpu + toQueries.first - toQueries.cpu + toKeys.first - toKeys.cpu,
      ),
    });
    device.variants.delete(OP);
  }
  for (const x of [q, k, v, dy, padding]) x?.dispose();
}
console.log(device.description);
console.table(rows);
writeRows(options.json, device.description, rows);
device.close();
