// Matmul's ladder on this machine's adapter: every variant over the shapes of `cases.ts`, forward and forward + backward.
//
//   node bench/kernels/matmul.bench.mjs [--variant 4-subgroup] [--case "512"] [--layout nn,nt,tn] [--reps 7] [--json file]
//
// CPU ms is the processor time of the whole process for one call. On a software driver that is the GPU's time, and it
// survives a busy machine; wall ms is printed beside it. The smallest of --reps calls counts. Results are checked in
// matmul.test.ts, not here.
import { parseArgs } from "node:util";
import { loadOp, writeRows } from "../lib/engine.mjs";
import { cpuMs as cpu } from "../lib/measure.mjs";

const { values: options } = parseArgs({
  options: {
    variant: { type: "string" },
    case: { type: "string" },
    layout: { type: "string", default: "nn,nt,tn" },
    reps: { type: "string", default: "5" },
    json: { type: "string" },
  },
});

const { openDevice, scope, Tensor, matmul, cases, variants } = await loadOp("matmul", {
  index: "matmul",
  cases: "cases",
  variants: "variants",
});
const device = await openDevice();
const count = (shape) => shape.reduce((product, size) => product * size, 1);

/** A leaf with fixed contents and the view of it with the given logical shape. */
function operand(shape, transposed) {
  const stored = transposed ? [...shape.slice(0, -2), shape.at(-1), shape.at(-2)] : shape;
  const data = Float32Array.from({ length: count(shape) }, (_, i) => ((i * 2654435761) >>> 8) / 2 ** 23 - 1);
  const leaf = Tensor.from(device, data, stored, { requiresGrad: true });
  return { leaf, view: () => (transposed ? leaf.transpose(-1, -2) : leaf) };
}

/** Smallest CPU and wall milliseconds of `--reps` calls, after one that compiles. */
async function measure(call) {
  let best = { cpu: Number.POSITIVE_INFINITY, wall: Number.POSITIVE_INFINITY };
  for (let i = -1; i < Number(options.reps); i++) {
    const [c, w] = [cpu(), performance.now()];
    scope(call);
    await device.synchronize();
    if (i >= 0)
      best = { cpu: Math.min(best.cpu, cpu() - c), wall: Math.min(best.wall, performance.now() - w) };
  }
  return best;
}

const rows = [];
for (const shape of cases.filter((c) => c.bench && c.name.includes(options.case ?? ""))) {
  for (const layout of options.layout.split(",")) {
    const a = operand(shape.a, layout[0] === "t");
    const b = operand(shape.b, layout[1] === "t");
    const dy = Tensor.full(device, [...shape.a.slice(0, -1), shape.b.at(-1)], 1).add(0);
    const flops = 2 * count(shape.a) * shape.b.at(-1);
    for (const variant of variants) {
      if (variant.refuses(device) || !variant.name.includes(options.variant ?? "")) continue;
      device.variants.set("matmul", variant.name);
      const forward = await measure(() => void matmul(a.view(), b.view()));
      const both = await measure(() => {
        matmul(a.view(), b.view()).backward({ gradient: dy });
        for (const { leaf } of [a, b]) {
          leaf.grad.dispose();
          leaf.grad = null;
        }
      });
      rows.push({
        shape: shape.name,
        layout,
        variant: variant.name,
        "cpu ms": +forward.cpu.toFixed(1),
        "wall ms": +forward.wall.toFixed(1),
        "GFLOP/cpu-s": +(flops / forward.cpu / 1e6).toFixed(2),
        "fwd+bwd cpu ms": +both.cpu.toFixed(1),
        "fwd+bwd GFLOP/cpu-s": +((3 * flops) / both.cpu / 1e6).toFixed(2),
      });
      device.variants.delete("matmul");
    }
    for (const tensor of [a.leaf, b.leaf, dy]) tensor.dispose();
  }
}
console.log(device.description);
console.table(rows);
writeRows(options.json, device.description, rows);
device.close();
