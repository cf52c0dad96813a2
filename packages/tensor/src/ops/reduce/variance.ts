import { defineOp } from "../../autograd/define-op.js";
import { expectDtype } from "../../dtype.js";
import { normalizeDims, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expandReduced, reducedShape } from "../sum/index.js";

/** Options of `variance` and `std`. */
export interface VarianceOptions {
  /** Taken off the number of elements in the denominator: 1 (default) for the unbiased estimate, 0 for the biased one. */
  correction?: number;
  keepdim?: boolean;
}

interface Attributes {
  readonly dims: readonly number[];
  readonly correction: number;
  readonly keepdim: boolean;
  readonly root: boolean;
}

function divisor(shape: Shape, { dims, correction }: Attributes): number {
  return Math.max(0, dims.reduce((product, d) => product * shape[d]!, 1) - correction);
}

/** x minus its mean. Taken off twice: the first mean is rounded to the size of x, which may be far above its spread. */
function centred(x: Tensor, dims: readonly number[]): Tensor {
  const once = x.sub(x.mean(dims, true));
  return once.sub(once.mean(dims, true));
}

function varianceOp(name: "var" | "std") {
  return defineOp<Attributes>({
    name,
    forward(ctx, [x], attributes) {
      const { dims, keepdim, root } = attributes;
      const difference = centred(x!.dtype === "f16" ? x!.to("f32") : x!, dims);
      const total = difference.square().sum(dims);
      const n = divisor(x!.shape, attributes);
      // By a tensor, not by 1/n: n is 0 for one element with correction 1, and the result then NaN as in PyTorch.
      const variance = total.div(Tensor.full(ctx.device, [], n));
      const y = (root ? variance.sqrt() : variance)
        .reshape(reducedShape(x!.shape, dims, keepdim))
        .to(x!.dtype);
      ctx.saveForBackward(x!, y);
      return y;
    },
    // d var / dx = 2 (x - mean) / n; d std / dx is that over 2 std, and 0 where std is 0.
    backward(ctx, [dy]) {
      const [x, y] = ctx.savedTensors as [Tensor, Tensor];
      const { dims, root } = ctx.attributes;
      const n = Tensor.full(ctx.device, [], divisor(x.shape, ctx.attributes));
      const slope = root ? dy!.div(y).maskedFill(y.eq(0), 0) : dy!.mul(2);
      return [
        centred(x, dims)
          .mul(expandReduced(slope, x.shape, dims))
          .div(n),
      ];
    },
  });
}

const varOp = varianceOp("var");
const stdOp = varianceOp("std");

function attributesOf(
  x: Tensor,
  dim: number | readonly number[] | null,
  options: VarianceOptions,
  root: boolean,
): Attributes {
  const name = root ? "std" : "var";
  expectDtype(name, "the input", x.dtype, ["f32", "f16"]);
  const dims = normalizeDims(name, dim, x.rank);
  return { dims, correction: options.correction ?? 1, keepdim: options.keepdim ?? false, root };
}

/** Variance over `dim` (a number, several, or null for all), as `torch.var`: in two passes, so that a large mean does no harm. */
export function variance(
  x: Tensor,
  dim: number | readonly number[] | null = null,
  options: VarianceOptions = {},
): Tensor {
  return varOp([x], attributesOf(x, dim, options, false));
}

/** Standard deviation over `dim`, as `torch.std`; gradient 0 where it is 0. */
export function std(
  x: Tensor,
  dim: number | readonly number[] | null = null,
  options: VarianceOptions = {},
): Tensor {
  return stdOp([x], attributesOf(x, dim, options, true));
}
