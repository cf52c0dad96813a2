import { defineOp } from "../../autograd/define-op.js";
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

interface DropoutAttributes {
  readonly p: number;
  readonly range: RandomRange;
}

function apply(x: Tensor, { p, range }: DropoutAttributes): Tensor {
  const packed = x.isContiguous && x.offset % 4 === 0 ? x : clone(x);
  const y = Tensor.empty(x.device, x.shape, x.dtype);
  const groups = Math.ceil(x.numel / 4);
  const { rounds, grid } = roundsFor(x.device, groups);
  x.device.run(kernel, {
    buffers: [packed.storage.buffer, y.storage.buffer],
    params: [...range.params, groups, rounds, packed.offset / 4, f32(p), f32(p === 1 ? 0 : 1 / (1 - p))],
    grid,
    specialisation: { types: { T: x.dtype } },
  });
  return y;
}

const dropoutOp = defineOp<DropoutAttributes>({
  name: "dropout",
  forward: (_ctx, [x], attributes) => apply(x!, attributes),
  backward: (ctx, [dy]) => [apply(dy!, ctx.attributes)],
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
  if (!(p >= 0 && p <= 1))
    throw new ValueError(`dropout: p is ${p}; a probability between 0 and 1 is needed.`);
  expectDtype("dropout", "the input", x.dtype, ["f32", "f16"]);
  if (!training || p === 0) return x;
  const range = (generator ?? defaultGenerator(x.device)).next(Math.ceil(x.numel / 4));
  return dropoutOp([x], { p, range });
}
