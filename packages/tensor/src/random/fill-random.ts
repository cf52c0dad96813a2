import { f32, gridFor, type Kernel } from "../device/kernel.js";
import { DtypeError, ValueError } from "../errors.js";
import { formatShape } from "../shape.js";
import type { Tensor } from "../tensor.js";
import source from "./fill-random.wgsl";
import { defaultGenerator, type Generator } from "./generator.js";
import philox from "./philox.wgsl";

/** What `fillRandom` draws from. */
export type Distribution =
  | { readonly kind: "uniform"; readonly from: number; readonly to: number }
  | { readonly kind: "normal"; readonly mean: number; readonly std: number }
  | { readonly kind: "integers"; readonly low: number; readonly range: number }
  | {
      readonly kind: "truncatedNormal";
      readonly mean: number;
      readonly std: number;
      readonly low: number;
      readonly high: number;
    };

const KINDS = ["uniform", "normal", "integers", "truncatedNormal"] as const;
const kernel: Kernel = { name: "random/fill", source, snippets: [philox] };

/** erf in float64 by its series of positive terms; 1 to the last digit from 6 on. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

/**
 * Overwrites `y` with random numbers and takes `ceil(numel / 4)` blocks from the generator. Element i is word `i % 4` of
 * block `i / 4`, so results do not depend on the adapter.
 * @param op name in errors
 * @throws ValueError if `y` has gaps
 */
export function fillRandom(op: string, y: Tensor, distribution: Distribution, generator?: Generator): void {
  y.assertLive(op);
  if (!y.isContiguous)
    throw new ValueError(
      `${op}: the target ${formatShape(y.shape)} is a strided view; only tensors without gaps can be filled.`,
    );
  const integer = y.dtype === "i32" || y.dtype === "u32";
  if (y.dtype === "bool" || (integer && distribution.kind !== "integers")) {
    throw new DtypeError(
      `${op}: cannot fill a tensor of ${y.dtype} with numbers of this distribution; use f32 or f16.`,
    );
  }
  const blocks = Math.ceil(y.numel / 4);
  const range = (generator ?? defaultGenerator(y.device)).next(blocks);
  let integers = [0, 0];
  let floats = [0, 0, 0, 0, 0, 0];
  switch (distribution.kind) {
    case "uniform":
      floats = [distribution.from, distribution.to, 0, 0, 0, 0];
      break;
    case "normal":
      floats = [distribution.mean, distribution.std, 0, 0, 0, 0];
      break;
    case "integers":
      integers = [distribution.low, distribution.range];
      break;
    case "truncatedNormal": {
      const { mean, std, low, high } = distribution;
      const at = (cut: number) => erf((cut - mean) / (std * Math.SQRT2));
      floats = [mean, std, low, high, at(low), at(high)];
    }
  }
  y.device.run(kernel, {
    buffers: [y.storage.buffer],
    params: [...range.params, y.numel, y.offset, ...integers, ...floats.map(f32)],
    grid: gridFor(blocks, 64),
    specialisation: {
      types: { Y: y.dtype },
      constants: { KIND: KINDS.indexOf(distribution.kind), HALF: y.dtype === "f16" },
    },
  });
  y.storage.version++;
}
