// What the benchmarks of softmax and layer norm share: loading an op's own modules, timing, the table and the JSON file.
import { parseArgs } from "node:util";
import { loadOp, writeRows } from "../lib/engine.mjs";

/**
 * Prints a line a variant and shape, with a copy of the same bytes measured in the same run as what cannot be beaten.
 * @param op name of the exported function; `name` the op's name in `device.variants`; `folder` its folder
 * @param prepare from (Tensor, device, case) to { forward, leaves, dy, size }: a function that makes the result, the leaves
 *   that get gradients, the gradient of the result, and the number of elements
 */
export async function bench({ op, name, folder, prepare }) {
  const { values: options } = parseArgs({
    options: {
      variant: { type: "string", default: "" },
      case: { type: "string", default: "" },
      reps: { type: "string", default: "7" },
      json: { type: "string" },
    },
  });
  const engine = await loadOp(folder, { index: `${op} as op`, cases: "benchCases", variants: "variants" });
  const { openDevice, scope, Tensor, benchCases, variants } = engine;
  const device = await openDevice();
  const calls = 10;

  /** Smallest CPU and wall milliseconds of a call, over `--reps` batches of calls, after one that compiles. */
  async function measure(call) {
    let best = { cpu: Number.POSITIVE_INFINITY, wall: Number.POSITIVE_INFINITY };
    for (let i = -1; i < Number(options.reps); i++) {
      const [start, wall] = [process.cpuUsage(), performance.now()];
      for (let j = 0; j < calls; j++) scope(call);
      await device.synchronize();
      const used = process.cpuUsage(start);
      if (i < 0) continue;
      best = {
        cpu: Math.min(best.cpu, (used.user + used.system) / 1000 / calls),
        wall: Math.min(best.wall, (performance.now() - wall) / calls),
      };
    }
    return best;
  }

  const rows = [];
  for (const shape of benchCases.filter((c) => c.name.includes(options.case))) {
    const { forward, leaves, dy, size } = prepare(engine.op, Tensor, device, shape);
    const backward = () => {
      forward().backward({ gradient: dy });
      for (const leaf of leaves) {
        leaf.grad.dispose();
        leaf.grad = null;
      }
    };
    // Each array once: forward reads x and writes y; backward reads two and writes one.
    const line = (variant, one, both) =>
      rows.push({
        shape: shape.name,
        variant,
        "cpu ms": +one.cpu.toFixed(2),
        "wall ms": +one.wall.toFixed(2),
        "GB/cpu-s": +((8 * size) / one.cpu / 1e6).toFixed(2),
        "fwd+bwd cpu ms": both && +both.cpu.toFixed(2),
        "fwd+bwd GB/cpu-s": both && +((20 * size) / both.cpu / 1e6).toFixed(2),
      });
    line("copy", await measure(() => void dy.clone()), null);
    for (const variant of variants) {
      if (!variant.name.includes(options.variant)) continue;
      if (!variant.requires.every((feature) => device.features.has(feature))) continue;
      device.variants.set(name, variant.name);
      line(variant.name, await measure(() => void forward()), await measure(backward));
      device.variants.delete(name);
    }
    for (const tensor of [...leaves, dy]) tensor.dispose();
  }
  console.log(device.description);
  console.table(rows);
  writeRows(options.json, device.description, rows);
  device.close();
}

/** Numbers in [-1, 1), the same in every run. */
export const numbers = (count) =>
  Float32Array.from({ length: count }, (_, i) => ((Math.imul(i, 2654435761) >>> 0) >>> 8) / 2 ** 23 - 1);
