import { defineOp } from "../../autograd/define-op.js";
import { contiguousStrides, normalizeDims } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { writeStrided } from "../views/index.js";

/** Writes the elements from the far end of each flipped dimension backwards: negative strides. */
function flipped(x: Tensor, dims: readonly number[]): Tensor {
  const y = Tensor.empty(x.device, x.shape, x.dtype);
  const strides = contiguousStrides(x.shape);
  const offset = dims.reduce((at, d) => at + (x.shape[d]! - 1) * strides[d]!, 0);
  writeStrided(
    x,
    y,
    strides.map((step, d) => (dims.includes(d) ? -step : step)),
    offset,
  );
  return y;
}

const flipOp = defineOp<{ dims: readonly number[] }>({
  name: "flip",
  forward: (_ctx, [x], { dims }) => flipped(x!, dims),
  backward: (ctx, [dy]) => [flipped(dy!, ctx.attributes.dims)],
});

/** Reverses the order along `dims`, as `torch.flip`: a copy. */
export function flip(x: Tensor, dims: number | readonly number[]): Tensor {
  return flipOp([x], { dims: normalizeDims("flip", dims, x.rank) });
}
