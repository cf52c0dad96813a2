import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { ShapeError, ValueError } from "../../errors.js";
import { formatShape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import source from "./triangle.wgsl";

const kernel: Kernel = { name: "triangle", source };

interface Triangle {
  readonly diagonal: number;
  readonly lower: boolean;
}

function triangle(x: Tensor, { diagonal, lower }: Triangle): Tensor {
  const packed = x.contiguous();
  const y = Tensor.empty(x.device, x.shape, x.dtype);
  x.device.run(kernel, {
    buffers: [packed.storage.buffer, y.storage.buffer],
    params: [x.numel, x.shape.at(-2)!, x.shape.at(-1)!, diagonal, packed.offset],
    grid: gridFor(x.numel, 64),
    specialisation: { types: { T: x.dtype }, constants: { LOWER: lower } },
  });
  return y;
}

function triangleOp(name: "tril" | "triu"): (x: Tensor, diagonal: number) => Tensor {
  const op = defineOp<Triangle>({
    name,
    forward: (_ctx, [x], attributes) => triangle(x!, attributes),
    // The same entries pass.
    backward: (ctx, [dy]) => [triangle(dy!, ctx.attributes)],
  });
  return (x, diagonal) => {
    if (x.rank < 2) throw new ShapeError(`${name}: needs two dimensions, got ${formatShape(x.shape)}.`);
    if (!Number.isInteger(diagonal))
      throw new ValueError(`${name}: diagonal ${diagonal} is not a whole number.`);
    return op([x], { diagonal, lower: name === "tril" });
  };
}

const lower = triangleOp("tril");
const upper = triangleOp("triu");

/** The last two dimensions on and under a diagonal (0 the main one, positive above it), 0 elsewhere, as `torch.tril`. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return lower(x, diagonal);
}

/** The last two dimensions on and above a diagonal, 0 elsewhere, as `torch.triu`. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return upper(x, diagonal);
}
