import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { isFloating } from "../../dtype.js";
import { normalizeDim } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { pad } from "../pad/index.js";
import source from "./cumsum.wgsl";
import { linesAlong } from "./lines.js";

const kernel: Kernel = { name: "reduce/cumsum", source };

/** Longer lines are cut into parts of this length where there are too few lines to occupy a GPU. */
const PART = 256;

function runningSums(x: Tensor, dim: number, reverse: boolean): Tensor {
  const lines = linesAlong(x.shape, dim);
  if (lines.length > 4 * PART && lines.count < 1024) return inParts(x, dim, reverse);
  const packed = x.contiguous();
  const y = Tensor.empty(x.device, x.shape, x.dtype);
  x.device.run(kernel, {
    buffers: [packed.storage.buffer, y.storage.buffer],
    params: [lines.count, lines.length, lines.inner, packed.offset],
    grid: gridFor(lines.count, 64),
    specialisation: {
      types: { T: x.dtype, Accumulator: isFloating(x.dtype) ? "f32" : x.dtype },
      constants: { REVERSE: reverse },
    },
  });
  return y;
}

/** Running sums within parts, plus the running sums of the totals of the parts before. */
function inParts(x: Tensor, dim: number, reverse: boolean): Tensor {
  const { outer, length, inner } = linesAlong(x.shape, dim);
  const parts = Math.ceil(length / PART);
  const even = pad(x.reshape([outer, length, inner]), [0, 0, 0, parts * PART - length]);
  const within = runningSums(even.reshape([outer, parts, PART, inner]), 2, reverse);
  const totals = within.narrow(2, reverse ? 0 : PART - 1, 1);
  const shift = reverse ? [0, 0, 0, 0, -1, 1] : [0, 0, 0, 0, 1, -1];
  const before = pad(runningSums(totals, 1, reverse), shift);
  return within
    .add(before)
    .reshape([outer, parts * PART, inner])
    .narrow(1, 0, length)
    .reshape(x.shape);
}

const cumsumOp = defineOp<{ dim: number }>({
  name: "cumsum",
  forward: (_ctx, [x], { dim }) => runningSums(x!.dtype === "bool" ? x!.to("i32") : x!, dim, false),
  // x_k is part of every later sum.
  backward: (ctx, [dy]) => [runningSums(dy!, ctx.attributes.dim, true)],
});

/** Running sums along `dim`, as `torch.cumsum`. Floats are added up in f32. bool counts as i32. */
export function cumsum(x: Tensor, dim: number): Tensor {
  return cumsumOp([x], { dim: normalizeDim("cumsum", dim, x.rank) });
}
