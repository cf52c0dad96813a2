import { defineOp } from "../../autograd/define-op.js";
import { gridFor } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { choose } from "../../kernels/ladder.js";
import { normalizeDim } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { lanesFor } from "../rows/launch.js";
import { softmaxBackwardLadder, softmaxLadder } from "./ladder.js";

/** Along which dimension, and whether the logarithm is wanted. */
export interface SoftmaxAttributes {
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
  ladder: typeof softmaxLadder,
  inputs: readonly Tensor[],
  { dim, log }: SoftmaxAttributes,
): Tensor {
  const x = inputs[0]!;
  const { device, dtype } = x;
  const { rows, length, inner } = cut(x, dim);
  const { step } = choose(device, ladder, { rows, length, inner, dtype, log });
  const y = Tensor.empty(device, x.shape, dtype);
  const lanes = inner === 1 ? lanesFor(length, inputs) : 1;
  device.run(step.kernels[lanes], {
    buffers: [...inputs, y].map((tensor) => tensor.storage.buffer),
    params: [rows, length / lanes, inner, ...inputs.map((input) => input.offset / lanes)],
    grid: gridFor(rows, step.rowsPerGroup(device)),
    specialisation: { types: { T: dtype }, constants: { LOG: log, SUBGROUP: device.subgroupSize } },
  });
  return y;
}

/** The result for an x without gaps. */
export function softmaxValues(x: Tensor, attributes: SoftmaxAttributes): Tensor {
  return launch(softmaxLadder, [x], attributes);
}

/** Gradient of x from the result and its gradient, both without gaps. */
export function softmaxGradient(y: Tensor, dy: Tensor, attributes: SoftmaxAttributes): Tensor {
  return launch(softmaxBackwardLadder, [y, dy], attributes);
}

const softmaxOp = defineOp<SoftmaxAttributes>({
  name: "softmax",
  forward(ctx, [x], attributes) {
    const y = softmaxValues(x!.contiguous(), attributes);
    ctx.saveForBackward(y);
    return y;
  },
  backward(ctx, [dy]) {
    const y = ctx.savedTensors[0]!;
    return [softmaxGradient(y, dy!.contiguous(), ctx.attributes)];
  },
});

/**
 * exp(x) / sum(exp(x)) along `dim`, as `torch.softmax`. Computed in f32 after subtraction of the row's maximum, so that
 * logits of any size are fine; -inf gets 0, and a row of nothing but -inf gets NaN, as in PyTorch.
 * @param x any shape, f32 or f16
 * @param dim negative counts from the end
 * @returns the shape and type of `x`
 *
 * Backward keeps the result only: dx = y (dy - sum(y dy)). Error: see `cases.ts`. Kernels: `ladder.ts`.
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
