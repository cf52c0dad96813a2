import { defineOp } from "../../autograd/define-op.js";
import { expectDtype } from "../../dtype.js";
import { ValueError } from "../../errors.js";
import { normalizeDims } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { expandReduced, reducedShape } from "../sum/index.js";

/** Options of `norm`. */
export interface NormOptions {
  /** 2 (default): root of the sum of squares; 1: sum of absolute values. */
  p?: number;
  keepdim?: boolean;
}

const normOp = defineOp<{ dims: readonly number[]; keepdim: boolean; p: 1 | 2 }>({
  name: "norm",
  forward(ctx, [x], { dims, keepdim, p }) {
    const wide = x!.to("f32");
    const length = p === 1 ? wide.abs().sum(dims) : wide.square().sum(dims).sqrt();
    const y = length.reshape(reducedShape(x!.shape, dims, keepdim)).to(x!.dtype);
    ctx.saveForBackward(x!, y);
    return y;
  },
  // p = 2: x / |x|, and 0 at a zero vector. p = 1: the sign, whose value at 0 is 0.
  backward(ctx, [dy]) {
    const [x, y] = ctx.savedTensors as [Tensor, Tensor];
    const { dims, p } = ctx.attributes;
    if (p === 1) {
      const sign = x.gt(0).to(x.dtype).sub(x.lt(0).to(x.dtype));
      return [sign.mul(expandReduced(dy!, x.shape, dims))];
    }
    const slope = dy!.div(y).maskedFill(y.eq(0), 0);
    return [x.mul(expandReduced(slope, x.shape, dims))];
  },
});

/**
 * Length of the vectors along `dim` (a number, several, or null for all), as `torch.linalg.vector_norm`.
 * @throws ValueError for another `p` than 1 and 2
 */
export function norm(
  x: Tensor,
  dim: number | readonly number[] | null = null,
  options: NormOptions = {},
): Tensor {
  expectDtype("norm", "the input", x.dtype, ["f32", "f16"]);
  const p = options.p ?? 2;
  if (p !== 1 && p !== 2)
    throw new ValueError(`norm: p = ${p} is not supported; use 1 or 2 (for infinity: x.abs().max()).`);
  return normOp([x], { dims: normalizeDims("norm", dim, x.rank), keepdim: options.keepdim ?? false, p });
}

/** Options of `normalize`. */
export interface NormalizeOptions {
  p?: number;
  dim?: number | readonly number[];
  /** Smallest length to divide by. Default 1e-12. */
  eps?: number;
}

/** Vectors along `dim` (default 1) at length 1: x / max(norm, eps), as `torch.nn.functional.normalize`. */
export function normalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  const length = norm(x, options.dim ?? 1, { p: options.p ?? 2, keepdim: true });
  return x.div(length.clamp(options.eps ?? 1e-12, null));
}
