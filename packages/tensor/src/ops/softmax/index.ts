import { defineOp } from "../../autograd/define-op.js";
import { gridFor } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { normalizeDim } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { lanesFor } from "../rows/launch.js";
import { chooseVariant } from "./variants.js";

export { variants as softmaxVariants } from "./variants.js";

interface SoftmaxAttributes {
  /** Counted from the front. */
  readonly dim: number;
  readonly log: boolean;
}

/** How a tensor without gaps is cut into rows along `dim`: `rows` of `length` elements that are `inner` apart. */
function cut(x: Tensor, dim: number): { rows: number; length: number; inner: number } {
  const length = x.rank === 0 ? 1 : x.shape[dim]!;
  const inner = x.shape.slice(dim + 1).reduce((product, size) => product * size, 1);
  return { rows: length === 0 ? 0 : x.numel / length, length, inner };
}

/** Runs a kernel over rows along `dim`; `inputs` have no gaps. */
function launch(
  part: "forward" | "backward",
  inputs: readonly Tensor[],
  { dim, log }: SoftmaxAttributes,
): Tensor {
  const x = inputs[0]!;
  const { device } = x;
  const { rows, length, inner } = cut(x, dim);
  const variant = chooseVariant(device, inner);
  // A row an invocation may lie anyhow; where invocations share a row, its elements must be neighbours.
  const strided = variant.rowsPerGroup > 1;
  if (inner > 1 && !strided) {
    const moved = inputs.map((input) => input.transpose(dim, -1).contiguous());
    return launch(part, moved, { dim: x.rank - 1, log }).transpose(dim, -1);
  }
  const y = Tensor.empty(device, x.shape, x.dtype);
  const lanes = inner === 1 ? lanesFor(length, inputs) : 1;
  device.run(variant.kernels[part][lanes], {
    buffers: [...inputs.map((input) => input.storage.buffer), y.storage.buffer],
    params: [
      rows,
      length / lanes,
      ...(strided ? [inner] : []),
      ...inputs.map((input) => input.offset / lanes),
    ],
    grid: gridFor(rows, variant.rowsPerGroup),
    specialisation: { types: { T: x.dtype }, constants: { LOG: log } },
  });
  return y;
}

const softmaxOp = defineOp<SoftmaxAttributes>({
  name: "softmax",
  forward(ctx, [x], attributes) {
    const y = launch("forward", [x!.contiguous()], attributes);
    ctx.saveForBackward(y);
    return y;
  },
  backward(ctx, [dy]) {
    const y = ctx.savedTensors[0]!;
    return [launch("backward", [y.contiguous(), dy!.contiguous()], ctx.attributes)];
  },
});

/**
 * exp(x) / sum(exp(x)) along `dim`, as `torch.softmax`. Computed in f32 after subtraction of the row's maximum, so that
 * logits of any size are fine; -inf gets 0, and a row of nothing but -inf gets NaN, as in PyTorch.
 * @param x any shape, f32 or f16
 * @param dim negative counts from the end
 * @returns the shape and type of `x`
 *
 * Backward keeps the result only: dx = y (dy - sum(y dy)). Error: see `cases.ts`. Ladder of kernels: `variants.ts`.
 * @throws ShapeError if `dim` is out of range
 * @throws DtypeError for integers and bool
 */
export function softmax(x: Tensor, dim: number): Tensor {
  expectDtype("softmax", "x", x.dtype, ["f32", "f16"]);
  return softmaxOp([x], { dim: normalizeDim("softmax", dim, x.rank), log: false });
}

/**
 * log(softmax(x)) along `dim`, as `torch.log_softmax`: x - max - log(sum(exp(x - max))), exact where softmax underflows.
 * @param x any shape, f32 or f16
 * @param dim negative counts from the end
 * @returns the shape and type of `x`
 *
 * Backward keeps the result only: dx = dy - exp(y) sum(dy).
 * @throws ShapeError if `dim` is out of range
 * @throws DtypeError for integers and bool
 */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  expectDtype("log_softmax", "x", x.dtype, ["f32", "f16"]);
  return softmaxOp([x], { dim: normalizeDim("log_softmax", dim, x.rank), log: true });
}
