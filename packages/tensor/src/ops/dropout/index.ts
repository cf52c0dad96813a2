import { defineOp } from "../../autograd/define-op.js";
import type { Device } from "../../device/device.js";
import { f32, type Kernel } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { ValueError } from "../../errors.js";
import { defaultGenerator, type Generator, type RandomRange } from "../../random/generator.js";
import philox from "../../random/philox.wgsl";
import { Tensor } from "../../tensor.js";
import { clone } from "../copy/index.js";
import { roundsFor } from "../elementwise/rounds.js";
import source from "./dropout.wgsl";

const kernel: Kernel = { name: "dropout", source, snippets: [philox] };

/** Dropout whose random numbers are reserved: the same call again drops the same elements. */
export interface DrawnDropout {
  /** Probability that an element becomes 0; the others are multiplied by 1 / (1 - p). */
  readonly p: number;
  readonly range: RandomRange;
}

/** What the elements that stay are multiplied by. */
export const dropoutScale = (p: number): number => (p === 1 ? 0 : 1 / (1 - p));

/** Reserves the numbers for a tensor of `numel` elements; null if nothing is dropped. @throws ValueError if `p` is not a probability */
export function drawDropout(
  op: string,
  device: Device,
  numel: number,
  p: number,
  training: boolean,
  generator?: Generator,
): DrawnDropout | null {
  if (!(p >= 0 && p <= 1)) {
    throw new ValueError(`${op}: p is ${p}; a probability between 0 and 1 is needed.`);
  }
  if (!training || p === 0) return null;
  return { p, range: (generator ?? defaultGenerator(device)).next(Math.ceil(numel / 4)) };
}

/** x with those elements dropped; also the way back, from the gradient of that. Without tape. */
export function applyDropout(x: Tensor, { p, range }: DrawnDropout): Tensor {
  const packed = x.isContiguous && x.offset % 4 === 0 ? x : clone(x);
  const y = Tensor.empty(x.device, x.shape, x.dtype);
  const groups = Math.ceil(x.numel / 4);
  const { rounds, grid } = roundsFor(x.device, groups);
  x.device.run(kernel, {
    buffers: [packed.storage.buffer, y.storage.buffer],
    params: [...range.params, groups, rounds, packed.offset / 4, f32(p), f32(dropoutScale(p))],
    grid,
    specialisation: { types: { T: x.dtype } },
  });
  return y;
}

const dropoutOp = defineOp<DrawnDropout>({
  name: "dropout",
  forward: (_ctx, [x], attributes) => applyDropout(x!, attributes),
  backward: (ctx, [dy]) => [applyDropout(dy!, ctx.attributes)],
});

/**
 * Sets elements to 0 with probability `p` and multiplies the others by 1 / (1 - p), as `torch.nn.functional.dropout`.
 * Element i in row-major order is kept if its uniform number (word `i % 4` of block `i / 4`) is at least `p`; backward
 * makes the same numbers again, so nothing is stored.
 * Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
 * @param x any shape, f32 or f16
 * @param p 0 … 1; with 0, or where not `training`, `x` itself is returned and no number is drawn; with 1, zeros
 * @param generator default: the device's, see `manualSeed`
 * @throws ValueError if `p` is not a probability
 */
export function dropout(x: Tensor, p = 0.5, training = true, generator?: Generator): Tensor {
  expectDtype("dropout", "the input", x.dtype, ["f32", "f16"]);
  const drawn = drawDropout("dropout", x.device, x.numel, p, training, generator);
  return drawn ? dropoutOp([x], drawn) : x;
}
